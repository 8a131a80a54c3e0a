"""What `--fix` writes: nothing is lost, nothing is mixed up, and the original stays as it was."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from tests.datasets import stems_of, write_list, write_voc
from toolkit.audit.check import check
from toolkit.errors import UsageError


def fingerprints(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def picture_behind(path: Path) -> bytes:
    recorded = json.loads(path.read_text(encoding="utf-8"))["imagePath"]
    return Path(path.parent, recorded).read_bytes()


def two_folders(source: Path) -> None:
    """One annotation each for a/0.jpg and b/0.jpg, both in json/."""
    for index, name in enumerate("ab"):
        (source / name).mkdir(parents=True)
        (source / name / "0.jpg").write_bytes(encoded(picture(4 * index)))
        write_json(source / "json" / f"{name}.json", content([shape()], f"../{name}/0.jpg"))


def test_pictures_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    two_folders(source)
    before = fingerprints(source)
    check(source, fix=out)
    assert fingerprints(source) == before
    for name in "ab":
        assert picture_behind(out / "json" / f"{name}.json") == (source / name / "0.jpg").read_bytes()


def test_pictures_from_elsewhere_come_beside_their_annotation_without_meeting(tmp_path: Path) -> None:
    two_folders(tmp_path / "all")
    out = tmp_path / "out"
    check(tmp_path / "all" / "json", fix=out)
    for name in "ab":
        assert picture_behind(out / f"{name}.json") == (tmp_path / "all" / name / "0.jpg").read_bytes()
    assert check(out).ok


@pytest.mark.parametrize("unknown", [b'"\xff\xfe"', b"9" * 5000], ids=["no text", "huge number"])
def test_a_file_that_cannot_be_copied_does_not_stop_the_others(tmp_path: Path, unknown: bytes) -> None:
    source = tmp_path / "in"
    annotated(source, "good")
    odd = annotated(source, "odd", seed=3)
    odd.write_bytes(odd.read_bytes()[:-1] + b', "unknown": ' + unknown + b"}")
    mended = check(source, fix=tmp_path / "out").mended
    assert "1 annotations left out: cannot be read" in mended
    assert (tmp_path / "out" / "good.json").is_file()
    assert not (tmp_path / "out" / "odd.json").exists()


def test_unknown_keys_and_embedded_pictures_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "in"
    path = annotated(source, "a")
    value = json.loads(path.read_text(encoding="utf-8")) | {"reviewer": {"name": "Zoë", "score": 0.1}}
    value["shapes"][0] |= {"label": " cat ", "occluded": True}
    write_json(path, value)
    check(source, fix=tmp_path / "out")
    value["shapes"][0]["label"] = "cat"
    assert json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8")) == value


def test_the_copy_may_not_lie_in_the_original(tmp_path: Path) -> None:
    annotated(tmp_path / "in")
    root = write_voc(tmp_path / "voc")
    for folder in (tmp_path / "in", root):
        before = fingerprints(folder)
        with pytest.raises(UsageError, match="Choose a folder outside"):
            check(folder, fix=folder / "mended")
        assert fingerprints(folder) == before


def test_a_train_list_of_all_images_gives_up_what_val_names(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc")
    everything = [f"pic_{index}" for index in range(7)]
    write_list(root, "train", everything)
    check(root, fix=tmp_path / "out")
    assert stems_of(tmp_path / "out", "val") == everything[5:]
    assert stems_of(tmp_path / "out", "train") == everything[:5]
    assert stems_of(tmp_path / "out", "trainval") == everything
    assert check(tmp_path / "out").ok


def test_a_single_image_stays_on_both_sides(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", train=1, val=0)
    write_list(root, "val", ["pic_0"])
    check(root, fix=tmp_path / "out")
    assert stems_of(tmp_path / "out", "train") == stems_of(tmp_path / "out", "val") == ["pic_0"]
