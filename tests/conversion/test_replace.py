"""What stays on the disk when a conversion fails, is interrupted, or is done again."""

import shutil
from pathlib import Path

import pytest

from tests.cli.program import SAMPLE
from toolkit.conversion.convert import convert
from toolkit.errors import DataError, DatasetError, SegError
from toolkit.files import write_bytes
from toolkit.progress import Progress
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
