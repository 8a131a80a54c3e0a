"""Converting into a dataset that is there already: nothing is lost, doubled or left over."""

from pathlib import Path

import pytest

from tests.annotations import annotated, encoded, picture
from toolkit.conversion.convert import convert
from toolkit.errors import DataError
from toolkit.voc.folder import VocFolder


def stems(root: Path) -> set[str]:
    dataset = VocFolder(root)
    assert dataset.image_stems() == dataset.mask_stems()
    return dataset.mask_stems()


def sources(root: Path) -> str:
    return (root / "sources.csv").read_text(encoding="utf-8")


def test_another_folder_never_replaces_what_came_from_the_first(tmp_path: Path) -> None:
    annotated(tmp_path / "one", "i", label="cat")
    annotated(tmp_path / "two", "i", label="dog")
    out = tmp_path / "voc"
    convert(tmp_path / "one", out)
    before = VocFolder(out).mask("i").read_bytes(), VocFolder(out).image("i").read_bytes()
    with pytest.raises(DataError, match=r"i\.json would replace the one of that name from .*one"):
        convert(tmp_path / "two", out, update=True)
    assert (VocFolder(out).mask("i").read_bytes(), VocFolder(out).image("i").read_bytes()) == before
    assert (out / "class_names.txt").read_text(encoding="utf-8") == "_background_\ncat\n"


def test_another_folder_with_other_names_is_added(tmp_path: Path) -> None:
    annotated(tmp_path / "one", "i")
    annotated(tmp_path / "two", "j")
    convert(tmp_path / "one", tmp_path / "voc")
    convert(tmp_path / "two", tmp_path / "voc", update=True)
    assert stems(tmp_path / "voc") == {"i", "j"}
    assert sources(tmp_path / "voc") == "stem,source\ni,i.json\nj,j.json\n"


def test_a_stem_stays_when_a_namesake_comes_in(tmp_path: Path) -> None:
    annotated(tmp_path / "in" / "x", "i")
    convert(tmp_path / "in", tmp_path / "voc")
    annotated(tmp_path / "in" / "y", "i")
    convert(tmp_path / "in", tmp_path / "voc", update=True)
    assert stems(tmp_path / "voc") == {"i", "y__i"}
    assert sources(tmp_path / "voc") == "stem,source\ni,x/i.json\ny__i,y/i.json\n"


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"{}\n", b'{"stem": 3}\n', b"[]\n"])
def test_a_damaged_record_is_named(tmp_path: Path, line: bytes) -> None:
    annotated(tmp_path / "in", "i")
    convert(tmp_path / "in", tmp_path / "voc")
    (tmp_path / "voc" / "records.jsonl").write_bytes(line)
    with pytest.raises(DataError, match=r"records\.jsonl: line 1 is damaged.* --overwrite"):
        convert(tmp_path / "in", tmp_path / "voc", update=True)


def test_a_picture_in_another_format_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "i", imagePath="i.png")
    (tmp_path / "in" / "i.jpg").unlink()
    (tmp_path / "in" / "i.png").write_bytes(encoded(picture(), "PNG"))
    convert(tmp_path / "in", tmp_path / "voc")
    assert VocFolder(tmp_path / "voc").image("i").suffix == ".jpg"
    convert(tmp_path / "in", tmp_path / "voc", update=True, image_format="keep")
    assert [path.name for path in (tmp_path / "voc" / "JPEGImages").iterdir()] == ["i.png"]
