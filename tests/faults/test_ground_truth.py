"""Faults of other programs that spoil the ground truth without a word: each would fail here."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toolkit
from tests.annotations import annotated, content, encoded, picture, shape, write_json
from tests.datasets import IGNORE, NAMES, mask_of, stems_of, write_list, write_mask, write_sample, write_voc
from tests.training.tiny import Listener, log_of, tiny_config
from toolkit.data.augment import AUGMENTS
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import training_view
from toolkit.runs.state import load_state

ROOT = Path(toolkit.__file__).parent


def test_dots_in_names_make_three_pictures_one(tmp_path: Path) -> None:
    """name.split(".")[0] writes scan.01, scan.02 and scan.03 all as scan."""
    for number in range(3):
        annotated(tmp_path / "in", f"scan.0{number}", seed=number)
    report = toolkit.convert(tmp_path / "in", tmp_path / "voc")
    assert report.ok
    stems = [f"scan.0{number}" for number in range(3)]
    for number, stem in enumerate(stems):
        assert (tmp_path / "voc" / "JPEGImages" / f"{stem}.jpg").read_bytes() == encoded(picture(number))
    assert sorted(path.stem for path in (tmp_path / "voc" / "SegmentationClass").iterdir()) == stems


def test_a_turned_photograph_loses_its_object(tmp_path: Path) -> None:
    """The picture is saved sideways under an upright mask: what the mask shows must be what was drawn."""
    upright = np.zeros((36, 24, 3), np.uint8)
    upright[4:20, 3:9] = 250
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    Image.fromarray(np.rot90(upright)).save(tmp_path / "in" / "a.jpg", exif=exif, quality=100)
    box = shape("cat", [[3, 4], [9, 20]], "rectangle")
    write_json(tmp_path / "in" / "a.json", content([box], imageHeight=36, imageWidth=24))
    assert toolkit.convert(tmp_path / "in", tmp_path / "voc").ok
    with Image.open(tmp_path / "voc" / "JPEGImages" / "a.jpg") as image:
        assert image.getexif().get(0x0112, 1) == 1
        pixels = np.array(image)
    inside = mask_of(tmp_path / "voc", "a") == 1
    assert pixels.shape[:2] == inside.shape == (36, 24)
    assert pixels[inside].mean() > 200 and pixels[~inside].mean() < 30


def test_one_unknown_label_ends_the_conversion_of_all(tmp_path: Path) -> None:
    """ValueError "is not in list", no file named. Here every such file is named, in one go, and nothing is written."""
    for name, label in (("a", "cat"), ("b", "potted plant"), ("c", "hund")):
        annotated(tmp_path / "in", name, label=label)
    (tmp_path / "labels.txt").write_text("cat\npottedplant\n", encoding="utf-8")
    with pytest.raises(toolkit.SegError) as caught:
        toolkit.convert(tmp_path / "in", tmp_path / "voc", labels=tmp_path / "labels.txt")
    assert all(word in str(caught.value) for word in ("potted plant", "hund", "pottedplant"))


@pytest.mark.parametrize("preset", AUGMENTS)
def test_padding_is_labelled_background(preset: str) -> None:
    """A 4 : 1 picture that holds class 1 alone: three quarters of what a network sees of it would be background."""
    image, mask = np.full((16, 64, 3), 200, np.uint8), np.ones((16, 64), np.uint8)
    preprocess = Preprocess(size=64)
    seen: set[int] = set()
    for seed in range(40):
        _, target = training_view(image, mask, preprocess, AUGMENTS[preset], np.random.default_rng(seed))
        seen |= set(np.unique(target).tolist())
    assert seen == {1, IGNORE}
    fitted = Preprocess(size=64, stride=64).apply_mask(mask)
    assert fitted.shape == (64, 64)
    assert (fitted == 1).sum() == 16 * 64 and (fitted == IGNORE).sum() == 3 * 16 * 64


def test_padding_enters_the_validation_loss_and_the_scores(tmp_path: Path) -> None:
    """Validation masks of class 1 alone, whose weight is 0: only fake background could cost something."""
    dataset = write_voc(tmp_path / "voc", train=3, val=2, size=(24, 96))
    for stem in stems_of(dataset, "val"):
        write_mask(dataset, stem, np.ones_like(mask_of(dataset, stem)))
    report = toolkit.train(tiny_config(dataset, epochs=1, class_weights="1,0,1"), out=tmp_path / "run")
    (row,) = log_of(tmp_path / "run")
    assert float(row["val_loss"]) == 0 and float(row["train_loss"]) > 0
    counts = load_state(report.run.state)["best_counts"]
    assert counts.sum() == counts[1].sum() == sum(mask_of(dataset, stem).size for stem in report.val_stems)


def test_ids_beyond_the_class_count_are_silently_not_trained(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc")
    (dataset / "class_names.txt").write_text("_background_\ndisc\n", encoding="utf-8")
    with pytest.raises(toolkit.SegError, match=r"pic_0\.png: holds the value 2 .* but class_names.txt lists 2 classes"):
        toolkit.train(tiny_config(dataset), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_masks_of_0_and_255_train_a_model_that_predicts_black(tmp_path: Path) -> None:
    """The commonest complaint about such programs. The class that is never seen is named before the first step."""
    dataset, listener = write_voc(tmp_path / "voc", names=("_background_", "cat")), Listener()
    for path in sorted((dataset / "SegmentationClass").iterdir()):
        mask = mask_of(dataset, path.stem)
        write_mask(dataset, path.stem, np.where(mask == 1, 255, mask).astype(np.uint8))
    toolkit.train(tiny_config(dataset, epochs=1), out=tmp_path / "run", progress=listener)
    (said,) = [line for line in listener.warned if "class 'cat' is in no training image" in line]
    assert "255 in the masks, that means ignore: see seg check" in said
    found = toolkit.check(dataset)
    assert any("255" in str(finding) for finding in found.findings)


def test_masks_of_colours_become_luminance(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc")
    mask = mask_of(dataset, "pic_1")
    Image.fromarray(np.repeat(mask[..., None], 3, 2)).save(dataset / "SegmentationClass" / "pic_1.png")
    with pytest.raises(toolkit.SegError, match=r"pic_1\.png: a mask holds one class id a pixel"):
        toolkit.train(tiny_config(dataset), out=tmp_path / "run")


def test_a_blank_line_or_a_blank_in_a_name_ends_or_misleads(tmp_path: Path) -> None:
    """line.split()[0] fails at a blank line and looks up "my photo 1" as "my"."""
    dataset = write_voc(tmp_path / "voc", train=3, val=1)
    rng = np.random.default_rng(1)
    odd = ["my photo 1", "my photo 2", "scan.01", "scan.02", "Möhre"]
    for index, stem in enumerate(odd):
        image = rng.integers(0, 256, (30 + index, 40, 3), np.uint8)
        write_sample(dataset, stem, image, rng.integers(0, 3, (30 + index, 40)).astype(np.uint8))
    path = write_list(dataset, "train", ["", odd[0], odd[2], "", "  ", odd[4], ""])
    write_list(dataset, "val", [odd[1], "", odd[3]])
    assert path.read_text(encoding="utf-8").startswith("\nmy photo 1\n")
    report = toolkit.train(tiny_config(dataset, epochs=1), out=tmp_path / "run")
    assert report.val_stems == ("my photo 2", "scan.02")
    counts = load_state(report.run.state)["best_counts"]
    assert counts.sum() == 31 * 40 + 33 * 40


@pytest.mark.parametrize("suffix", ["bmp", "jpeg", "tif"])
def test_only_jpg_is_found(tmp_path: Path, suffix: str) -> None:
    dataset = write_voc(tmp_path / "voc", train=1, val=1)
    for path in sorted((dataset / "JPEGImages").iterdir()):
        with Image.open(path) as image:
            image.save(path.with_suffix(f".{suffix}"))
        path.unlink()
    assert toolkit.train(tiny_config(dataset, epochs=1), out=tmp_path / "run").epochs == 1


def test_text_is_read_in_the_encoding_of_the_machine() -> None:
    """open() without an encoding: labels that are not English fail on a Chinese or German Windows."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            named = {keyword.arg for keyword in node.keywords}
            given = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            binary = any("b" in mode for mode in given if len(mode) <= 3)
            others = ("Image", "os", "archive")  # whose open() is another one
            of_others = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in others
            if name in ("read_text", "open") and not binary and not of_others and "encoding" not in named:
                raise AssertionError(f"{path.relative_to(ROOT)}:{node.lineno}: text without an encoding")


def test_the_size_of_the_picture_is_not_held_against_the_mask(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc")
    stem = stems_of(dataset, "val")[0]
    write_mask(dataset, stem, np.zeros((20, 30), np.uint8))
    with pytest.raises(toolkit.SegError, match=rf"{stem}\.png: the picture has .* its mask 30 x 20"):
        toolkit.train(tiny_config(dataset), out=tmp_path / "run")


def test_class_names_are_typed_into_several_scripts(tmp_path: Path) -> None:
    """One edit of the dataset's list reaches training, the log, the checkpoint and what predicts with it."""
    names = (NAMES[0], "Scheibe", "Balken")
    dataset = write_voc(tmp_path / "voc", names=names)
    report = toolkit.train(replace(tiny_config(dataset), epochs=1), out=tmp_path / "run")
    (row,) = log_of(tmp_path / "run")
    assert [column for column in row if column.startswith("iou.")] == [f"iou.{name}" for name in names]
    predictor = toolkit.load(report.best, device="cpu")
    assert predictor.classes.names == names
    assert predictor.predict(picture()).mask.max() < 3
