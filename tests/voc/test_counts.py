"""Pixel counts agree with numpy's, and ids that are no class are named."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets import mask_of, write_mask, write_voc
from toolkit.errors import DatasetError, ImageError
from toolkit.progress import Progress
from toolkit.voc.counts import classes_of, count_masks
from toolkit.voc.folder import VocFolder

STEMS = tuple(f"pic_{index}" for index in range(7))


@pytest.mark.parametrize("palette", [True, False])
def test_counts_equal_bincount(tmp_path: Path, palette: bool) -> None:
    root = write_voc(tmp_path, palette=palette)
    write_mask(root, "pic_0", np.full((5, 6), 2, np.uint8), palette=palette)
    folder = VocFolder(root)
    classes = folder.class_map()
    assert classes is not None
    counts = count_masks(folder, STEMS).counts(len(classes))
    each = np.stack([np.bincount(mask_of(root, stem).ravel(), minlength=256) for stem in STEMS])
    np.testing.assert_array_equal(counts.pixels, each.sum(0)[:3])
    np.testing.assert_array_equal(counts.images, [6, 6, 7])
    assert counts.ignored == each.sum(0)[255] > 0
    labelled = each[:, :3].sum(1)
    np.testing.assert_array_equal(counts.among, [labelled[1:].sum(), labelled[1:].sum(), labelled.sum()])
    assert counts.total == 7
    np.testing.assert_allclose(counts.shares, each.sum(0)[:3] / each.sum(0)[:3].sum())


def test_nothing_to_count_gives_zero_shares(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    write_mask(root, "pic_0", np.full((3, 3), 255, np.uint8))
    counts = count_masks(VocFolder(root), ["pic_0"]).counts(2)
    assert counts.shares.tolist() == [0, 0]
    assert counts.ignored == 9


def test_an_id_outside_the_list_is_named(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :3] = 7
    path = write_mask(root, "pic_3", mask)
    folder = VocFolder(root)
    with pytest.raises(DatasetError) as raised:
        count_masks(folder, STEMS).counts(3)
    text = str(raised.value)
    assert text.startswith(f"{path}: holds the value 7 (3 pixels), but class_names.txt lists 3 classes (ids 0 to 2")
    assert "Add the missing class" in text


def test_a_grey_photograph_is_not_taken_for_a_mask(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    write_mask(root, "pic_1", np.arange(200, dtype=np.uint8).reshape(10, 20), palette=False)
    folder = VocFolder(root)
    with pytest.raises(DatasetError, match="looks like a picture of colours"):
        count_masks(folder, STEMS).counts(3)


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    (root / "SegmentationClass" / "pic_2.png").unlink()
    with pytest.raises(ImageError, match=r"pic_2\.png: there is no such file"):
        count_masks(VocFolder(root), STEMS).counts(3)


def test_a_dataset_without_class_names_is_named_by_its_ids(tmp_path: Path) -> None:
    warnings: list[str] = []

    class Listener(Progress):
        def warn(self, line: str) -> None:
            warnings.append(line)

    root = write_voc(tmp_path)
    assert classes_of(count_masks(VocFolder(root), STEMS), Listener()).names == ("_background_", "disc", "bar")
    assert warnings == []
    (root / "class_names.txt").unlink()
    assert classes_of(count_masks(VocFolder(root), STEMS), Listener()).names == ("class 0", "class 1", "class 2")
    assert "class_names.txt is missing" in warnings[0]
    assert "0 to 2" in warnings[0]
