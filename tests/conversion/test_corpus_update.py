"""Converting again: only what changed is done again, by content; what was interrupted is finished."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from toolkit.conversion.convert import convert
from toolkit.conversion.options import LabelOptions
from toolkit.errors import DataError, SegError
from toolkit.files import write_bytes
from toolkit.voc.folder import VocFolder

STEMS = ("a", "b", "c", "d", "e")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, stem in enumerate(STEMS):
        annotated(tmp_path / "in", stem, seed=index)
    convert(tmp_path / "in", tmp_path / "voc")
    return tmp_path


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every picture and mask."""
    folders = ("JPEGImages", "SegmentationClass", "SegmentationObject")
    files = [path for name in folders for path in (root / name).glob("*")]
    return {path.relative_to(root).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def contents(root: Path) -> dict[str, bytes]:
    skipped = ("report.json", "records.jsonl", "mask_counts.jsonl")  # hold the paths of their folders, or times
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in skipped]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def changed(folder: Path, **options: Any) -> set[str]:
    """Update, and say which stems were written anew."""
    before = stamps(folder / "voc")
    convert(folder / "in", folder / "voc", update=True, **options)
    after = stamps(folder / "voc")
    assert not (folder / "voc" / ".unfinished").exists()
    return {Path(name).stem for name in set(before) | set(after) if before.get(name) != after.get(name)}


def edit(folder: Path) -> None:
    write_json(folder / "in" / "b.json", content([shape("cat", [[1, 1], [9, 9]], "rectangle")], "b.jpg"))


def new_picture(folder: Path) -> None:
    (folder / "in" / "b.jpg").write_bytes(encoded(picture(77)))


def touched(folder: Path) -> None:
    for path in (folder / "in").iterdir():
        os.utime(path, (1, 1))


def rewritten(folder: Path) -> None:
    path = folder / "in" / "b.json"
    path.write_bytes(path.read_bytes() + b"\n")


def lost_mask(folder: Path) -> None:
    (folder / "voc" / "SegmentationClass" / "b.png").unlink()


def lost_picture(folder: Path) -> None:
    (folder / "voc" / "JPEGImages" / "b.jpg").unlink()


def lost_object(folder: Path) -> None:
    (folder / "voc" / "SegmentationObject" / "b.png").unlink()


def same_time(folder: Path) -> None:
    path = folder / "in" / "b.json"
    before = path.stat()
    path.write_text(path.read_text().replace("11.5", "12.5"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], set[str], dict[str, Any]]] = {
    "nothing": (lambda _: None, set(), {}),
    "only times": (touched, set(), {}),
    "an annotation": (edit, {"b"}, {}),
    "an annotation, its size and time as before": (same_time, {"b"}, {}),
    "an annotation's last line": (rewritten, {"b"}, {}),
    "a picture": (new_picture, {"b"}, {}),
    "a lost mask": (lost_mask, {"b"}, {}),
    "a lost picture": (lost_picture, {"b"}, {}),
    "a lost instance mask": (lost_object, {"b"}, {}),
    "a new one": (lambda folder: annotated(folder / "in", "f", seed=9), {"f"}, {}),
    "a new class": (lambda folder: annotated(folder / "in", "f", label="ant"), {"f"}, {}),
    "an option": (lambda _: None, set(STEMS), {"image_format": "png"}),
    "the line width": (lambda _: None, set(STEMS), {"line_width": 3}),
    "a limit": (lambda _: None, set(), {"max_megapixels": 9}),
    "no instances": (lambda _: None, set(STEMS), {"instances": False}),
    "a renaming": (lambda _: None, set(STEMS), {"label_options": LabelOptions(rename=(("cat", "dog"),))}),
    "one gone": (lambda folder: (folder / "in" / "b.json").unlink(), set(), {}),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_only_what_changed_is_written(folder: Path, name: str) -> None:
    change, expected, options = CHANGES[name]
    change(folder)
    assert changed(folder, **options) == expected
    assert changed(folder, **options) == set()
    if name not in ("one gone", "a new class", "a renaming"):
        shutil.rmtree(folder / "voc2", ignore_errors=True)
        convert(folder / "in", folder / "voc2", **options)
        assert contents(folder / "voc2") == contents(folder / "voc")


def test_a_mended_file_joins_the_others(folder: Path) -> None:
    (folder / "in" / "f.json").write_text("{")
    assert not convert(folder / "in", folder / "voc", update=True).ok
    annotated(folder / "in", "f")
    assert changed(folder) == {"f"}


def test_a_file_that_breaks_keeps_its_old_result(folder: Path) -> None:
    before = contents(folder / "voc")
    (folder / "in" / "b.json").write_text("{")
    report = convert(folder / "in", folder / "voc", update=True)
    assert [Path(failure.place).name for failure in report.failures] == ["b.json"]
    assert contents(folder / "voc")["SegmentationClass/b.png"] == before["SegmentationClass/b.png"]


@pytest.mark.parametrize("at", [1, 2, 5, 8, 14, 15])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SegError, MemoryError])
def test_stopped_at_any_file_and_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: type[BaseException]
) -> None:
    for index, stem in enumerate(STEMS):
        annotated(tmp_path / "in", stem, seed=index)
    convert(tmp_path / "in", tmp_path / "whole")
    count = 0

    def failing(path: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise error("No space left on device")
        write_bytes(path, data)

    monkeypatch.setattr("toolkit.conversion.render.write_bytes", failing)
    with pytest.raises((error, DataError)):
        convert(tmp_path / "in", tmp_path / "voc")
    monkeypatch.undo()
    masks = VocFolder(tmp_path / "voc").mask_stems()
    assert len(masks) == (at - 1) // 3
    for stem in masks:
        assert (tmp_path / "voc" / "JPEGImages" / f"{stem}.jpg").read_bytes() == encoded(picture(STEMS.index(stem)))
    before = stamps(tmp_path / "voc")
    convert(tmp_path / "in", tmp_path / "voc", update=True)
    after = stamps(tmp_path / "voc")
    assert all(after[name] == before[name] for name in before if Path(name).stem in masks)
    assert contents(tmp_path / "voc") == contents(tmp_path / "whole")


@pytest.mark.parametrize("cut", [0, 1, 30, 120, 400, 700, 10_000])
def test_a_journal_whose_end_is_lost_is_finished(folder: Path, cut: int) -> None:
    whole = contents(folder / "voc")
    records = (folder / "voc" / "records.jsonl").read_bytes()
    (folder / "voc" / "records.jsonl").unlink()
    plan = {"folder": str((folder / "in").resolve()), "stems": {f"{stem}.json": stem for stem in STEMS}}
    (folder / "voc" / ".unfinished").write_bytes(json.dumps(plan).encode() + b"\n" + records[:cut])
    kept = records[:cut].count(b"\n")
    assert changed(folder) == set(STEMS[kept:])
    assert contents(folder / "voc") == whole


def test_a_dataset_that_somebody_else_made_is_not_overwritten(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "a")
    dataset = VocFolder(tmp_path / "voc")
    for path in (dataset.images / "a.jpg", dataset.mask("a")):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"mine")
    convert(tmp_path / "in", tmp_path / "voc", update=True)
    assert (dataset.images / "a.jpg").read_bytes() == b"mine"
    assert dataset.mask("a").read_bytes() == b"mine"
    assert len(dataset.mask_stems()) == 2
