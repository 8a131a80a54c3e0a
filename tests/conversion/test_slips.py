"""Classes that an existing dataset did not have are named once, and what to do about a slip works."""

from pathlib import Path

import numpy as np
import pytest

from tests.annotations import annotated
from toolkit.conversion.convert import convert
from toolkit.conversion.options import LabelOptions
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import read_mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of Smart-Plug and zebra, and a folder with one picture of a class of its own."""
    annotated(tmp_path / "in", "a", label="Smart-Plug")
    annotated(tmp_path / "in", "b", label="zebra", seed=1)
    convert(tmp_path / "in", tmp_path / "voc")
    return tmp_path


def remarks(folder: Path) -> list[str]:
    return [str(remark) for remark in convert(folder / "more", folder / "voc", update=True).remarks]


def test_a_new_class_is_said_once_with_the_name_it_resembles(folder: Path) -> None:
    path = annotated(folder / "more", "c", label="Smart-Lamp")
    (said,) = remarks(folder)
    assert f"'Smart-Lamp' (1 shape, first in {path}) is a new class" in said
    assert "Did you mean 'Smart-Plug'?" in said and "--map" in said
    assert remarks(folder) == []


def test_the_first_conversion_has_no_new_classes(folder: Path) -> None:
    assert convert(folder / "in", folder / "other").remarks == ()
    annotated(folder / "more", "c", label="Smart-Lamp")
    assert convert(folder / "more", folder / "voc", overwrite=True).remarks == ()


def test_unlike_names_are_not_compared(folder: Path) -> None:
    annotated(folder / "more", "c", label="oak")
    (said,) = remarks(folder)
    assert "'oak'" in said and "Did you mean" not in said


@pytest.mark.parametrize("slip", ["smart_plug", "Smart Plug", "SMARTPLUG"])
def test_a_name_that_is_nearly_one_of_the_dataset_is_said_as_that_alone(folder: Path, slip: str) -> None:
    annotated(folder / "more", "c", label=slip)
    (said,) = remarks(folder)
    assert "'Smart-Plug' (in the dataset)" in said and f"'{slip}' (1 shape)" in said
    assert f"take '{slip}' out of {folder / 'voc' / 'class_names.txt'}" in said and f"--map '{slip}=Smart-Plug'" in said
    (again,) = remarks(folder)
    assert "in the dataset" in again and "take" not in again, "it is an older class now, whose line has to stay"


def test_background_is_the_name_to_keep(folder: Path) -> None:
    annotated(folder / "more", "c", label="background")
    for _ in range(2):
        (said,) = remarks(folder)
        assert "--map 'background=_background_'" in said


def test_classes_of_a_list_are_meant_and_added_ones_are_said(folder: Path) -> None:
    annotated(folder / "more", "c", label="Smart-Lamp")
    annotated(folder / "more", "d", label="zebar", seed=3)
    (folder / "labels.txt").write_text("Smart-Plug\nzebra\nSmart-Lamp\n", encoding="utf-8")
    options = LabelOptions(unknown="add")
    report = convert(folder / "more", folder / "voc", update=True, labels=folder / "labels.txt", label_options=options)
    (said,) = map(str, report.remarks)
    assert "'zebar'" in said and "Did you mean 'zebra'?" in said


def test_the_way_out_leaves_every_mask_with_the_ids_of_the_list(folder: Path) -> None:
    """Also where the line that goes stands before that of another new class."""
    annotated(folder / "more", "c", label="Smart-Lamp", seed=2)
    annotated(folder / "more", "d", label="ant", seed=3)
    annotated(folder / "more", "e", label="xylophone", seed=4)
    assert len(remarks(folder)) == 3
    names = folder / "voc" / "class_names.txt"
    names.write_text(names.read_text(encoding="utf-8").replace("Smart-Lamp\n", ""), encoding="utf-8")
    options = LabelOptions(rename=(("Smart-Lamp", "Smart-Plug"),))
    report = convert(folder / "more", folder / "voc", update=True, label_options=options)
    assert report.remarks == ()
    assert report.classes == ("_background_", "Smart-Plug", "zebra", "ant", "xylophone")
    dataset = VocFolder(folder / "voc")
    for stem, class_id in {"a": 1, "b": 2, "c": 1, "d": 3, "e": 4}.items():
        assert set(np.unique(read_mask(dataset.mask(stem)))) == {0, class_id}
