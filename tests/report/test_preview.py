"""The sheet of augmented samples: what is in its cells, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.datasets import NAMES, stems_of, write_list, write_sample, write_voc
from toolkit.data.augment import AUGMENTS, Augment
from toolkit.data.dataset import TrainingSamples, VocSamples
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import training_view
from toolkit.errors import DatasetError, ImageError, SegError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.report.preview import draw_preview
from toolkit.voc.folder import VocFolder

Pixels = npt.NDArray[np.uint8]

CELL, GAP, LINE = 256, 8, 22
PREPROCESS = Preprocess(size=CELL)  # cells then show views pixel by pixel
CLASSES = ClassMap(NAMES)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one colour gradient each, all background: nothing lies over them."""
    folder = write_voc(tmp_path_factory.mktemp("voc"), train=0, val=0)
    stems = [f"bare_{index}" for index in range(5)]
    for index, stem in enumerate(stems):
        y, x = np.indices((60, 80))
        image = np.stack([3 * x, 4 * y, np.full_like(x, 40 * index)], axis=2).astype(np.uint8)
        write_sample(folder, stem, image, np.zeros((60, 80), np.uint8))
    write_list(folder, "train", stems)
    return folder


def samples(root: Path) -> VocSamples:
    return VocSamples(VocFolder(root), tuple(stems_of(root, "train")))


def preview(
    root: Path, out: Path, augment: Augment = AUGMENTS["strong"], *, seed: int = 3, images: int = 6, draws: int = 5
) -> Pixels:
    assert draw_preview(samples(root), PREPROCESS, augment, seed, CLASSES, out, images, draws) == out
    with Image.open(out) as sheet:
        return np.array(sheet)


def cell(sheet: Pixels, row: int, column: int) -> Pixels:
    top = LINE + row * (LINE + CELL + GAP) + LINE
    left = GAP + column * (CELL + GAP)
    return sheet[top : top + CELL, left : left + CELL]


def test_cells_show_what_training_gets(root: Path, tmp_path: Path) -> None:
    """Rows are images spread over the list, columns the plain picture and then the epochs."""
    sheet = preview(root, tmp_path / "a.png", images=2, draws=3)
    plain, varied = (
        TrainingSamples(samples(root), PREPROCESS, AUGMENTS[name], 3, len(CLASSES)) for name in ("none", "strong")
    )
    for row, index in enumerate((0, 2)):
        for column in range(4):
            item = varied[column - 1, index] if column else plain[0, index]
            assert not isinstance(item, SegError)
            view, ids, _ = item
            shown = cell(sheet, row, column)
            assert np.abs(shown.astype(int) - view)[ids == 0].max() <= 1
            if (ids == 255).sum() > 1000:
                hatched = (shown[ids == 255] != view[ids == 255]).any(axis=1).mean()
                assert 0.15 < hatched < 0.4, "stripes tell what is not counted"


def test_classes_are_seen_in_their_colours_and_ignore_as_stripes(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", train=1, val=0, size=(128, 128))
    sheet = preview(root, tmp_path / "a.png", Augment(), images=1, draws=1)
    sample = samples(root)[0]
    view, ids = training_view(sample.image, sample.mask, PREPROCESS, Augment(), np.random.default_rng(0))
    shown = cell(sheet, 0, 0)
    for k in (1, 2):
        color = CLASSES.colors[k].astype(float)
        before = np.abs(view[ids == k] - color).mean()
        assert np.abs(shown[ids == k] - color).mean() < 0.75 * before
    assert np.array_equal(cell(sheet, 0, 1), shown), "no augmentation: epoch 1 is as for validation"
    assert (shown[ids == 255] == 205).all(axis=1).mean() > 0.15


def test_the_sheet_is_as_large_as_what_is_on_it(root: Path, tmp_path: Path) -> None:
    sheet = preview(root, tmp_path / "a.png", images=50, draws=2)
    assert sheet.shape[1] == 3 * (CELL + GAP) + GAP
    rows = (sheet.shape[0] - LINE) // (CELL + LINE + GAP)
    assert rows == 5, "there are five images"


def test_the_same_seed_draws_the_same_sheet(root: Path, tmp_path: Path) -> None:
    first, again, other = (
        preview(root, tmp_path / f"{name}.png", seed=seed, images=1, draws=2)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert np.array_equal(first, again)
    assert np.array_equal(cell(first, 0, 0), cell(other, 0, 0))
    assert not np.array_equal(cell(first, 0, 1), cell(other, 0, 1))


def test_legends_grow_with_the_classes_in_view(tmp_path: Path) -> None:
    heights = []
    for count in (3, 40):
        root = tmp_path / f"voc_{count}"
        write_sample(
            root, "a", np.zeros((40, 40, 3), np.uint8), np.arange(1600).reshape(40, 40).astype(np.uint8) % count
        )
        write_list(root, "train", ["a"])
        names = ClassMap(("_background_", *(f"a class with a long name {k}" for k in range(1, 40))))
        out = draw_preview(samples(root), PREPROCESS, Augment(), 0, names, tmp_path / f"{count}.png", 1, 2)
        with Image.open(out) as sheet:
            heights.append(sheet.height)
    assert heights[1] > heights[0] + 5 * LINE


@pytest.mark.parametrize(("name", "format"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("A.JPEG", "JPEG")])
def test_the_ending_chooses_the_format(root: Path, tmp_path: Path, name: str, format: str) -> None:
    preview(root, tmp_path / "new" / name, images=1, draws=1)
    with Image.open(tmp_path / "new" / name) as sheet:
        assert sheet.format == format
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.gif", "a", "a.svg"])
def test_other_endings_are_refused(root: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"a preview is written as \.png, \.jpg, \.jpeg"):
        preview(root, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("images", "draws"), [(0, 5), (3, 0), (-1, 1), (5, 1000)])
def test_sheets_without_cells_or_with_too_many_are_refused(root: Path, tmp_path: Path, images: int, draws: int) -> None:
    with pytest.raises(UsageError, match="preview: "):
        preview(root, tmp_path / "a.jpg", images=images, draws=draws)


def test_no_image_and_broken_images_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no image to show"):
        draw_preview(replace(samples(root), stems=()), PREPROCESS, Augment(), 0, CLASSES, tmp_path / "a.png")
    broken = write_voc(tmp_path / "voc", train=1, val=0)
    (broken / "JPEGImages" / "pic_0.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"pic_0\.png: not an image"):
        preview(broken, tmp_path / "a.png")
    assert not list(tmp_path.glob("*.png"))


def test_names_that_no_font_can_draw_do_no_harm(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", train=1, val=0)
    names = ClassMap(("_background_", "d\u200dis\u4e2dc", "b" * 300))
    out = draw_preview(samples(root), PREPROCESS, AUGMENTS["default"], 0, names, tmp_path / "a.png", 1, 1)
    assert out.stat().st_size > 1000
