"""`check` finds what spoils training, says nothing of what does not, and `--fix` mends it in a copy."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.annotations import SAMPLE, SIZE, annotated, content, encoded, picture, shape, write_json
from toolkit.audit.check import check
from toolkit.audit.codes import CODES
from toolkit.audit.report import AuditReport
from toolkit.conversion.convert import convert
from toolkit.errors import DataError, DatasetError, UsageError
from toolkit.labels.classmap import voc_palette
from toolkit.splitting.split import split
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import read_mask, write_mask

Mask = npt.NDArray[np.uint8]


def codes(report: AuditReport) -> set[str]:
    return {finding.code for finding in report.findings}


def place_of(report: AuditReport, code: str) -> str:
    return next(finding.place for finding in report.findings if finding.code == code)


def blobs(seed: int, ids: tuple[int, ...] = (1, 2)) -> Mask:
    """uint8 (48, 64): solid rectangles of ids on 0."""
    mask = np.zeros((48, 64), np.uint8)
    for number, value in enumerate(ids):
        top, left = 4 + 20 * number, 3 + (7 * seed) % 30
        mask[top : top + 14, left : left + 20] = value
    return mask


def dataset(
    root: Path, count: int = 6, ids: tuple[int, ...] = (1, 2), names: str = "_background_\na\nb\n"
) -> VocFolder:
    folder = VocFolder(root)
    for part in (folder.images, folder.masks):
        part.mkdir(parents=True)
    for index in range(count):
        noise = np.random.default_rng(index).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC).save(
            folder.images / f"i{index}.jpg", quality=95
        )
        write_mask(folder.mask(f"i{index}"), blobs(index, ids))
    if names:
        folder.names_file.write_text(names, encoding="utf-8")
    return folder


def grey(folder: VocFolder, index: int, mask: npt.NDArray[np.generic]) -> None:
    Image.fromarray(mask).save(folder.mask(f"i{index}"))


def test_a_sound_dataset_gives_nothing_to_complain_about(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc")
    split(folder.root, ratio=0.5)
    report = check(folder.root)
    assert codes(report) <= {"class-one-sided"}
    assert report.counts == {"images": 6, "masks": 6, "classes": 3, "train": 3, "val": 3}


def test_the_sample_is_sound_before_and_after_converting(tmp_path: Path) -> None:
    assert check(SAMPLE, labels=SAMPLE / "labels.txt").number("warning") == 0
    convert(SAMPLE, tmp_path / "voc", labels=SAMPLE / "labels.txt")
    split(tmp_path / "voc")
    report = check(tmp_path / "voc")
    assert report.ok
    assert report.number("warning") == 0


def test_binary_masks_are_the_commonest_mistake_and_are_mended(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc", names="")
    for index in range(6):
        grey(folder, index, (blobs(index) > 0).astype(np.uint8) * 255)
    report = check(folder.root, fix=tmp_path / "mended")
    assert "mask-binary" in codes(report)
    assert not report.ok
    mended = VocFolder(tmp_path / "mended")
    for index in range(6):
        np.testing.assert_array_equal(read_mask(mended.mask(f"i{index}")), blobs(index) > 0)
        assert mended.image(f"i{index}").read_bytes() == folder.image(f"i{index}").read_bytes()
        assert set(np.unique(read_mask(folder.mask(f"i{index}")))) == {0, 255}  # the old ones are as they were
    assert check(mended.root).ok
    assert "6 masks written as class ids" in report.mended


@pytest.mark.parametrize("written", ["voc", "labelmap", "order"])
def test_masks_of_colours_become_ids(tmp_path: Path, written: str) -> None:
    folder = dataset(tmp_path / "voc", names="_background_\na\nb\n" if written == "voc" else "")
    table = voc_palette()[:3] if written == "voc" else np.array([[0, 0, 0], [10, 200, 30], [250, 5, 5]], np.uint8)
    if written == "labelmap":
        lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nred:250,5,5::\ngreen:10,200,30::\n"
        (folder.root / "labelmap.txt").write_text(lines, encoding="utf-8")
    for index in range(6):
        grey(folder, index, table[blobs(index)])
    report = check(folder.root, fix=tmp_path / "mended")
    assert "mask-colors" in codes(report)
    swap = np.array([0, 2, 1], np.uint8) if written == "labelmap" else np.arange(3, dtype=np.uint8)
    for index in range(6):
        np.testing.assert_array_equal(read_mask(VocFolder(tmp_path / "mended").mask(f"i{index}")), swap[blobs(index)])
    assert check(tmp_path / "mended").ok


def test_smoothed_and_compressed_masks_are_named_and_left_out(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc")
    big = Image.fromarray(blobs(0) * 60).resize((256, 192), Image.Resampling.BICUBIC).resize((64, 48))
    big.save(folder.mask("i0"))
    Image.fromarray(blobs(1) * 100).save(folder.mask("i1"), "JPEG")
    report = check(folder.root, fix=tmp_path / "mended")
    assert place_of(report, "mask-smoothed") == str(folder.mask("i0"))
    assert place_of(report, "mask-jpeg") == str(folder.mask("i1"))
    assert VocFolder(tmp_path / "mended").mask_stems() == {"i2", "i3", "i4", "i5"}
    assert "2 left out: masks whose ids are lost" in report.mended


def test_every_mismatch_is_found_in_one_pass(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc", count=8)
    folder.image("i0").unlink()
    folder.mask("i1").unlink()
    write_mask(folder.mask("i2"), blobs(2)[:40])
    grey(folder, 3, np.full((48, 64), 77, np.uint8))
    folder.image("i4").write_bytes(folder.image("i4").read_bytes()[:200])
    folder.mask("i5").write_bytes(b"not a picture")
    turned = Image.open(folder.image("i6"))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder.image("i6"), exif=exif)
    expected = {
        "mask-without-image": folder.mask("i0"),
        "image-without-mask": folder.image("i1"),
        "size-mismatch": folder.image("i2"),
        "foreign-id": folder.mask("i3"),
        "image-unreadable": folder.image("i4"),
        "mask-unreadable": folder.mask("i5"),
        "exif-mask": folder.image("i6"),
    }
    report = check(folder.root)
    assert {code: place_of(report, code) for code in expected} == {code: str(path) for code, path in expected.items()}
    assert report.as_dict()["levels"]["error"] == 7


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_among_the_pictures_makes_nobody_wait(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc")
    folder.image("i0").unlink()
    os.mkfifo(folder.images / "i0.jpg")
    assert place_of(check(folder.root), "mask-without-image") == str(folder.mask("i0"))


def test_a_turned_picture_is_stored_in_the_frame_of_its_mask(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc")
    before = np.array(Image.open(folder.image("i0"))).astype(int)
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.open(folder.image("i0")).save(folder.image("i0"), exif=exif, quality=100, subsampling=0)
    check(folder.root, fix=tmp_path / "mended")
    with Image.open(VocFolder(tmp_path / "mended").image("i0")) as mended:
        assert mended.getexif().get(0x0112, 1) == 1
        assert np.abs(np.array(mended).astype(int) - before).max() < 25
    assert check(tmp_path / "mended").ok


def test_lists_are_compared_with_what_is_there(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc")
    folder.lists.mkdir(parents=True)
    folder.list_file("train").write_text("i0\ni1\ni1\nnowhere\n", encoding="utf-8")
    folder.list_file("val").write_text("i1\ni2.jpg\n", encoding="utf-8")
    report = check(folder.root, fix=tmp_path / "mended")
    assert {"list-duplicate", "list-missing", "split-overlap", "unlisted"} <= codes(report)
    assert any("write 'i2'" in finding.way_out for finding in report.findings)
    mended = VocFolder(tmp_path / "mended")
    assert (mended.read_list("train"), mended.read_list("val")) == (("i0", "i1"), ("i2",))
    assert check(mended.root).ok


def test_equal_and_nearly_equal_pictures_across_the_split_are_leaks(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "voc", count=8)
    shutil.copy(folder.image("i0"), folder.image("i1"))
    near = np.clip(np.array(Image.open(folder.image("i2"))).astype(int) + 6, 0, 255).astype(np.uint8)
    Image.fromarray(near).save(folder.image("i3"), quality=80)
    folder.lists.mkdir(parents=True)
    folder.list_file("train").write_text("i0\ni2\ni4\ni5\n", encoding="utf-8")
    folder.list_file("val").write_text("i1\ni3\ni6\ni7\n", encoding="utf-8")
    report = check(folder.root, fix=tmp_path / "mended")
    assert place_of(report, "leak-identical") == str(folder.image("i0"))
    (leak,) = [finding for finding in report.findings if finding.code == "leak"]
    assert "i2" in leak.reason
    assert "i3" in leak.reason
    assert VocFolder(tmp_path / "mended").read_list("val") == ("i3", "i6", "i7")
    folder.list_file("train").write_text("i0\ni1\ni2\ni3\ni4\n", encoding="utf-8")
    folder.list_file("val").write_text("i5\ni6\ni7\n", encoding="utf-8")
    assert not codes(check(folder.root)) & {"leak", "leak-identical"}


def test_a_labelme_folder(tmp_path: Path) -> None:
    source = tmp_path / "in"
    W = SIZE[1]
    for index in range(6):
        annotated(source, f"good_{index}", label="giraffe", seed=3 * index)
    odd = [
        shape("girafe", [[0, 0], [30, 0], [0, 20], [30, 20]]),
        shape("Giraffe", [[5, 5], [6, 5], [6, 6]]),
        shape("giraffe", [[W + 20, 2], [W + 40, 2], [W + 40, 20]]),
        shape("giraffe"),
        shape("giraffe"),
        shape(" giraffe ", [[1, 1], [2, 2]]),
        shape("giraffe", [[1, 12], [14, 12], [14, 20]]),
    ]
    annotated(source, "odd", seed=20)
    write_json(source / "odd.json", content(odd, "C:\\\\photos\\\\odd.jpg"))
    write_json(source / "broken.json", [])
    (source / "cut.json").write_text('{"shapes": [', encoding="utf-8")
    (source / "alone.jpg").write_bytes(encoded(picture(40)))
    report = check(source, fix=tmp_path / "mended")
    wanted = {
        *("self-crossing", "shape-tiny", "shape-outside", "shape-duplicate", "point-count", "label-typo"),
        *("label-variants", "annotation-unreadable", "not-labelme", "image-without-annotation", "picture-by-name"),
    }
    assert wanted <= codes(report)
    assert place_of(report, "point-count") == f"{source / 'odd.json'}: shapes[5].points"
    mended = json.loads((tmp_path / "mended" / "odd.json").read_text(encoding="utf-8"))
    assert [item["label"] for item in mended["shapes"]] == ["girafe", "Giraffe", "giraffe", "giraffe", "giraffe"]
    assert mended["imagePath"] == "odd.jpg"
    assert (tmp_path / "mended" / "odd.jpg").read_bytes() == (source / "odd.jpg").read_bytes()
    assert not {"shape-duplicate", "point-count", "annotation-unreadable", "picture-by-name"} & codes(
        check(tmp_path / "mended")
    )


def test_predictions_that_nobody_has_looked_at(tmp_path: Path) -> None:
    for index, flag in enumerate([True, False, True, None]):
        flags = {} if flag is None else {"predicted": flag}
        annotated(tmp_path / "in", f"p{index}", seed=5 * index, flags=flags)
    report = check(tmp_path / "in")
    assert [finding.place for finding in report.findings if finding.code == "unreviewed"] == [
        str(tmp_path / "in" / "p0.json"),
        str(tmp_path / "in" / "p2.json"),
    ]
    assert report.ok and report.number("warning") == 2
    assert convert(tmp_path / "in", tmp_path / "voc").unreviewed == 2
    check(tmp_path / "in", fix=tmp_path / "mended")
    assert check(tmp_path / "mended").number("warning") == 2, "the copy is not reviewed either"


def test_shapes_that_a_model_drew_are_no_slips_of_a_hand(tmp_path: Path) -> None:
    odd = [
        shape(points=[[0, 0], [30, 0], [0, 20], [30, 20]]),
        shape(points=[[5, 5], [6, 5], [6, 6]]),
        shape(points=[[1, 22], [3, 22], [2, 23]], kind="polygon"),
        shape(points=[[0, 20], [12, 20], [12, 23], [0, 23]]),
    ]
    slips = {"self-crossing", "shape-tiny", "hidden-shape", "no-shapes"}
    for flag in (True, False):
        source = tmp_path / str(flag)
        for stem, shapes in (("odd", odd), ("none", [])):
            annotated(source, stem, seed=len(stem))
            write_json(source / f"{stem}.json", content(shapes, f"{stem}.jpg", flags={"predicted": flag}))
        report = check(source)
        assert codes(report) & slips == (set() if flag else slips)
        assert ("unreviewed" in codes(report)) == flag
    write_json(tmp_path / "True" / "odd.json", content([shape(), shape()], "odd.jpg", flags={"predicted": True}))
    assert "shape-duplicate" in codes(check(tmp_path / "True")), "no model does that"


def test_a_key_that_stands_twice_is_said_and_the_copy_has_the_last(tmp_path: Path) -> None:
    path = annotated(tmp_path / "in", "a")
    text = path.read_text(encoding="utf-8")
    path.write_text('{"shapes": [{"lost": "x"}, {}], ' + text[1:], encoding="utf-8")
    report = check(tmp_path / "in", fix=tmp_path / "mended")
    (finding,) = report.findings
    assert (finding.code, finding.level, finding.place) == ("repeated-key", "warning", f"{path}: shapes")
    assert '(1 entry; not [{"lost": "x"}, {}])' in finding.reason
    assert "1 keys that were there several times, the last one kept" in report.mended
    assert (tmp_path / "mended" / "a.json").read_text(encoding="utf-8").count('"shapes"') == 1
    converted = convert(tmp_path / "in", tmp_path / "voc")
    assert converted.ok and [remark.code for remark in converted.remarks] == ["repeated-key"]


def test_labels_are_held_against_a_list(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "a", label="Cat")
    (tmp_path / "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    report = check(tmp_path / "in", labels=tmp_path / "labels.txt")
    (finding,) = [finding for finding in report.findings if finding.code == "label-unlisted"]
    assert "'Cat' (1 shape, first in" in finding.reason
    assert finding.way_out == "Did you mean 'cat'?"
    assert "class-absent" in codes(report)


def test_what_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        check(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no labelme annotation"):
        check(tmp_path)
    with pytest.raises(DataError, match="is a file"):
        check(annotated(tmp_path / "in"))
    with pytest.raises(UsageError, match="is not an empty folder"):
        check(tmp_path / "in", fix=tmp_path / "in")


def test_the_default_dataset_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="no dataset at datasets"):
        check()


def test_every_kind_of_finding_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == list(CODES)
    for code, kind in CODES.items():
        assert f"| `{code}` | {kind.level} | {kind.title} | {kind.why} |" in text


def test_every_kind_is_used_and_every_use_is_a_kind() -> None:
    package = Path(__file__).parents[2] / "toolkit"
    text = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path.name != "codes.py")
    assert {code for code in CODES if f'"{code}"' not in text} == set()
