"""What stays on the disk when a conversion fails, is interrupted, or is done again."""

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.cli.program import SAMPLE
from toolkit.conversion.convert import convert
from toolkit.errors import DataError, DatasetError, SegError
from toolkit.files import fcntl, held, write_bytes
from toolkit.progress import SILENT, Progress
from toolkit.splitting.split import split
from toolkit.voc.folder import VocFolder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "labelme"
    folder.mkdir()
    for name in ("coins_01", "coins_02", "tissue_01"):
        for path in SAMPLE.glob(f"{name}.*"):
            shutil.copy(path, folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_times(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in content(folder).items() if name != "mask_counts.jsonl"}


class StopAtTheSecondImage(Progress):
    def __init__(self) -> None:
        self.stage = ""
        self.done = 0

    def begin(self, what: str, total: int | None) -> None:
        self.stage, self.done = what, 0

    def advance(self, note: str = "") -> None:
        self.done += 1
        if self.stage.startswith("Writing") and self.done == 2:
            raise KeyboardInterrupt


def test_overwrite_that_converts_nothing_puts_the_old_dataset_back(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    before = content(out)
    for picture in [*source.glob("*.png"), *source.glob("*.jpg")]:
        picture.unlink()
    with pytest.raises(DataError, match="2 more like it"):
        convert(source, out, overwrite=True)
    assert content(out) == before
    assert not (out / ".replaced").exists()


def test_overwrite_replaces_the_dataset_and_nothing_else(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    (source / "coins_02.json").unlink()
    convert(source, out, overwrite=True)
    assert VocFolder(out).mask_stems() == VocFolder(out).image_stems() == {"coins_01", "tissue_01"}
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert not (out / ".replaced").exists()


def test_first_conversion_that_converts_nothing_leaves_no_folder(source: Path, tmp_path: Path) -> None:
    for picture in [*source.glob("*.png"), *source.glob("*.jpg")]:
        picture.unlink()
    with pytest.raises(DataError):
        convert(source, tmp_path / "a" / "b" / "out")
    assert not (tmp_path / "a").exists()


def test_interrupted_conversion_is_refused_until_it_is_finished(source: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    convert(source, whole)
    with pytest.raises(KeyboardInterrupt):
        convert(source, out, progress=StopAtTheSecondImage())
    assert len(VocFolder(out).mask_stems()) == 2
    with pytest.raises(DatasetError, match="--update"):
        split(out)
    convert(source, out, update=True)
    renamed = {name: data.replace(b"whole", b"out") for name, data in without_times(whole).items()}
    renamed["report.json"] = renamed["report.json"].replace(b'"unchanged": 0', b'"unchanged": 2')
    assert without_times(out) == renamed
    assert len(split(out).train) == 2


def test_what_a_killed_conversion_was_writing_goes_with_the_next_one(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    before = set(content(out))
    for name in ("JPEGImages/.0f.partial", "SegmentationClass/.1f.partial", ".2f.partial"):
        (out / name).write_bytes(b"half")
    convert(source, out, update=True)
    assert set(content(out)) == before


def test_update_that_converts_nothing_leaves_the_dataset_usable(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    before = content(out)
    for picture in [*source.glob("*.png"), *source.glob("*.jpg")]:
        picture.unlink()
    with pytest.raises(DataError):
        convert(source, out, update=True)
    assert content(out) == before
    assert len(split(out).train) == 2


def test_full_disk_keeps_what_was_written_and_update_finishes_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def full(path: Path, data: bytes) -> None:
        if path.stem == "tissue_01":
            raise SegError(f"{path}: cannot be written: No space left on device.")
        write_bytes(path, data)

    monkeypatch.setattr("toolkit.conversion.render.write_bytes", full)
    with pytest.raises(SegError, match="No space left"):
        convert(source, out)
    assert VocFolder(out).mask_stems() == {"coins_01", "coins_02"}
    monkeypatch.undo()
    assert convert(source, out, update=True).images == 3
    assert len(split(out).trainval) == 3


def test_nothing_is_added_to_a_dataset_without_background(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    (out / "class_names.txt").write_text("sky\nroad\n", encoding="utf-8")
    before = content(out)
    with pytest.raises(DataError, match=r"class_names\.txt: class 0 is 'sky'"):
        convert(source, out, update=True)
    assert content(out) == before


def again(source: Path, out: Path, how: str, progress: Progress = SILENT) -> None:
    convert(source, out, overwrite=how == "overwrite", update=how == "update", progress=progress)


class Meanwhile(Progress):
    """Does something else once, when the first image of a stage has been done."""

    def __init__(self, stage: str, act: Callable[[], None]) -> None:
        self.stage, self.act, self.now = stage, act, ""

    def begin(self, what: str, total: int | None) -> None:
        self.now = what

    def advance(self, note: str = "") -> None:
        if self.now.startswith(self.stage):
            self.stage = "-"
            self.act()


@pytest.mark.skipif(fcntl is None, reason="nothing is locked on this system")
@pytest.mark.parametrize("stage", ["Reading", "Writing"])
@pytest.mark.parametrize("how", ["overwrite", "update"])
def test_second_conversion_is_refused_and_harms_nothing(source: Path, tmp_path: Path, stage: str, how: str) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    convert(source, whole)
    convert(source, out)
    refused: list[str] = []

    def another() -> None:
        for way in ("overwrite", "update"):
            with pytest.raises(SegError) as caught:
                again(source, out, way)
            refused.append(str(caught.value))

    again(source, out, how, Meanwhile(stage, another))
    assert refused == [f"another seg convert is writing {out}. Wait for it or stop it."] * 2
    written, expected = without_times(out), without_times(whole)
    assert json.loads(written.pop("report.json"))["images"] == 3
    assert expected.pop("report.json")
    assert written == expected  # no lock is left, either


@pytest.mark.skipif(fcntl is None, reason="nothing is locked on this system")
def test_first_conversions_at_once_are_one(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def another() -> None:
        with pytest.raises(SegError, match="another seg convert is writing"):
            convert(source, out)

    assert convert(source, out, progress=Meanwhile("Reading", another)).images == 3


def test_lock_of_a_killed_conversion_is_no_hindrance(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".converting").touch()
    assert convert(source, out).images == 3
    assert (out / ".converting").exists() == (fcntl is None)


@pytest.mark.skipif(fcntl is None, reason="nothing is locked on this system")
def test_lock_that_was_removed_while_it_was_opened_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two would hold one: the one of the file that is gone, and the one of the next file of that name."""
    lock = tmp_path / "lock"
    assert fcntl is not None
    flock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        lock.unlink()
        flock(descriptor, how)

    monkeypatch.setattr("toolkit.files.fcntl.flock", late)
    with pytest.raises(SegError, match="busy"), held(lock, "busy", passing=True):
        pytest.fail("held a lock that is gone")


def test_nothing_is_locked_and_nothing_is_left_where_there_are_no_locks(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.files.fcntl", None)
    convert(source, tmp_path / "out")
    convert(source, tmp_path / "out", overwrite=True)
    assert not [name for name in content(tmp_path / "out") if name.startswith(".")]


@pytest.mark.parametrize("how", ["overwrite", "update"])
def test_dataset_that_cannot_be_written_is_named_in_a_line(source: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    convert(source, out)
    (out / ".converting").mkdir()  # as on a disk that is read-only, also for root
    with nullcontext() if fcntl is None else pytest.raises(SegError, match=r"cannot be written: .*another folder\.$"):
        again(source, out, how)


def test_dataset_that_cannot_be_put_aside_stays_as_it_was(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    convert(source, out)
    before, rename = content(out), Path.rename

    def stuck(path: Path, target: Path) -> Path:
        if path.name == "records.jsonl":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stuck)
    with pytest.raises(SegError, match=r"out: what is there cannot be replaced: Permission denied\. Choose"):
        convert(source, out, overwrite=True)
    assert content(out) == before
    assert not (out / ".replaced").exists()


def test_what_goes_with_the_old_dataset_is_said(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    assert not [item for item in convert(source, out, overwrite=True).remarks if "old dataset" in item.reason]
    split(out)
    for name in (
        "JPEGImages/mine.jpg",
        "JPEGImages/coins_01.txt",
        "SegmentationClass/mine.png",
        "ImageSets/Main/a.txt",
    ):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"mine")
    (out / "JPEGImages" / ".DS_Store").touch()
    said = [str(item) for item in convert(source, out, overwrite=True).remarks if "old dataset" in item.reason]
    assert said == [
        f"{out / 'ImageSets' / 'Segmentation'}: the split lists of the old dataset went with it. "
        f"Make new ones: seg split {out}",
        f"{out}: 4 files of the old dataset that seg convert had not written went with it: "
        "JPEGImages/coins_01.txt, JPEGImages/mine.jpg, SegmentationClass/mine.png and so on.",
    ]


def test_lists_that_a_killed_overwrite_had_put_aside_are_not_forgotten(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    split(out)
    with pytest.raises(KeyboardInterrupt):
        convert(source, out, overwrite=True, progress=StopAtTheSecondImage())
    said = convert(source, out, overwrite=True).remarks
    assert [item.code for item in said if item.code.endswith("-replaced")] == ["lists-replaced"]


def test_of_files_nothing_is_said_where_the_records_are_damaged(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    (out / "records.jsonl").write_text("{", encoding="utf-8")
    assert not [item for item in convert(source, out, overwrite=True).remarks if item.code == "others-replaced"]
