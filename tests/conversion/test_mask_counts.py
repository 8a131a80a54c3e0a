"""A conversion leaves the pixels of every mask beside the masks, and never says more of a mask than it knows."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.annotations import annotated, content, shape, write_json
from toolkit.conversion.convert import convert
from toolkit.errors import DataError
from toolkit.progress import Progress
from toolkit.voc.counts import MaskTable, count_masks
from toolkit.voc.folder import VocFolder
from toolkit.voc.maskfile import MaskPixels, mask_pixels

STEMS = ("a", "b", "c", "d", "e")


class StopAfter(Progress):
    def __init__(self, images: int) -> None:
        self.left = images

    def begin(self, what: str, total: int | None) -> None:
        self.stage = what

    def advance(self, note: str = "") -> None:
        self.left -= self.stage.startswith("Writing")
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Annotations and the dataset made of them."""
    for index, stem in enumerate(STEMS):
        annotated(tmp_path / "in", stem, seed=index, label=f"label {index % 2}")
    convert(tmp_path / "in", tmp_path / "voc")
    return tmp_path


def read_now(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The masks that are read by a count, which must be right."""
    folder, read = VocFolder(root), []

    def spy(path: Path) -> MaskPixels:
        read.append(path.stem)
        return mask_pixels(path)

    with monkeypatch.context() as patch:
        patch.setattr("toolkit.voc.counts.mask_pixels", spy)
        table = count_masks(folder, sorted(folder.mask_stems()))
    assert_right(table)
    return sorted(read)


def assert_right(table: MaskTable) -> None:
    for stem in table.stems:
        with Image.open(table.folder.mask(stem)) as image:
            expected = np.bincount(np.asarray(image).ravel(), minlength=256)
        assert dict(table.row(stem)) == {value: pixels for value, pixels in enumerate(expected.tolist()) if pixels}


def lines_of(root: Path) -> dict[str, str]:
    lines = (root / "mask_counts.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["stem"]: line for line in lines}


def edit_by_hand(root: Path, stem: str) -> None:
    path = VocFolder(root).mask(stem)
    with Image.open(path) as image:
        palette, mask = image.getpalette(), np.array(image)
    mask[:2] = 255
    edited = Image.fromarray(mask)
    edited.putpalette(palette or [])
    edited.save(path)
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 3_600_000_000_000))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_converted_dataset_needs_no_mask_read(home: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    convert(home / "in", home / "voc", overwrite=True, workers=workers)
    assert list(lines_of(home / "voc")) == list(STEMS)
    assert read_now(home / "voc", monkeypatch) == []
    assert "time" not in (home / "voc" / "records.jsonl").read_text(encoding="utf-8")
    assert "mask" not in json.loads((home / "voc" / "records.jsonl").read_bytes().splitlines()[0])


def test_options_that_change_masks_change_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(home / "in" / "b.json", content([shape("label 1"), shape("__ignore__", [[0, 0], [9, 9]], "rectangle")]))
    for options in ({"line_width": 3}, {"order": "area"}, {"instances": False}):
        convert(home / "in", home / "voc", overwrite=True, **options)
        assert read_now(home / "voc", monkeypatch) == []


def test_update_renews_the_line_of_what_it_writes_and_no_other(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lines_of(home / "voc")
    write_json(home / "in" / "c.json", content([shape("label 0", [[0, 0], [30, 20]], "rectangle")], "c.jpg"))
    annotated(home / "in", "f", seed=6)
    convert(home / "in", home / "voc", update=True)
    after = lines_of(home / "voc")
    assert list(after) == [*STEMS, "f"]
    assert {stem for stem in STEMS if before[stem] != after[stem]} == {"c"}
    assert read_now(home / "voc", monkeypatch) == []


def test_a_mask_edited_by_hand_is_counted_after_an_update_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lines_of(home / "voc")
    edit_by_hand(home / "voc", "d")
    convert(home / "in", home / "voc", update=True)
    assert lines_of(home / "voc") == before
    assert read_now(home / "voc", monkeypatch) == ["d"]
    assert read_now(home / "voc", monkeypatch) == []
    convert(home / "in", home / "voc", update=True)
    assert read_now(home / "voc", monkeypatch) == []


@pytest.mark.parametrize("images", [1, 3])
def test_an_interrupted_conversion_loses_nothing(home: Path, images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(home / "in", home / "new", progress=StopAfter(images))
    assert not (home / "new" / "mask_counts.jsonl").exists()
    written = {stem: VocFolder(home / "new").mask(stem).stat() for stem in VocFolder(home / "new").mask_stems()}
    assert 0 < len(written) < len(STEMS)
    convert(home / "in", home / "new", update=True)
    assert all(VocFolder(home / "new").mask(stem).stat() == status for stem, status in written.items())
    assert list(lines_of(home / "new")) == list(STEMS)
    assert read_now(home / "new", monkeypatch) == []


def test_an_interrupted_update_keeps_what_is_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stem in STEMS:
        write_json(home / "in" / f"{stem}.json", content([shape("label 0", [[0, 0], [9, 9]], "circle")], f"{stem}.jpg"))
    with pytest.raises(KeyboardInterrupt):
        convert(home / "in", home / "voc", update=True, progress=StopAfter(2))
    assert len(set(read_now(home / "voc", monkeypatch))) == 2  # their lines tell of the masks before
    convert(home / "in", home / "voc", update=True)
    assert read_now(home / "voc", monkeypatch) == []


def test_a_journal_of_an_older_seg_is_finished(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = (home / "voc" / "records.jsonl").read_bytes()
    (home / "voc" / "mask_counts.jsonl").unlink()
    (home / "voc" / ".unfinished").write_bytes(b'{"folder": "/gone", "stems": {}}\n' + records + b'{"stem": "z')
    convert(home / "in", home / "voc", update=True)
    assert lines_of(home / "voc") == {}
    assert read_now(home / "voc", monkeypatch) == list(STEMS)


@pytest.mark.parametrize("harm", ["deleted", "damaged"])
def test_without_the_lines_masks_are_counted(home: Path, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "voc" / "mask_counts.jsonl"
    if harm == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"\0" * path.stat().st_size)
    for stem in STEMS:
        os.utime(VocFolder(home / "voc").mask(stem), (1, 1))
    convert(home / "in", home / "voc", update=True)
    assert read_now(home / "voc", monkeypatch) == list(STEMS)
    assert read_now(home / "voc", monkeypatch) == []


def test_overwrite_that_fails_puts_the_lines_back(home: Path) -> None:
    before = (home / "voc" / "mask_counts.jsonl").read_bytes()
    for path in (home / "in").glob("*.jpg"):
        path.unlink()
    with pytest.raises(DataError, match="more like it"):
        convert(home / "in", home / "voc", overwrite=True)
    assert (home / "voc" / "mask_counts.jsonl").read_bytes() == before


def test_overwrite_leaves_no_line_of_before(home: Path) -> None:
    (home / "in" / "a.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        convert(home / "in", home / "voc", overwrite=True, progress=StopAfter(1))
    assert not (home / "voc" / "mask_counts.jsonl").exists()
    convert(home / "in", home / "voc", overwrite=True)
    assert list(lines_of(home / "voc")) == list(STEMS[1:])


def test_what_is_gone_from_the_dataset_has_no_line(home: Path) -> None:
    VocFolder(home / "voc").mask("b").unlink()
    (home / "in" / "b.json").unlink()
    convert(home / "in", home / "voc", update=True)
    assert "b" not in lines_of(home / "voc")
