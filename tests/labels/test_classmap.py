"""Which label becomes which class id."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError
from toolkit.labels.classmap import ClassMap, voc_palette


def listed(folder: Path, data: bytes) -> Path:
    path = folder / "labels.txt"
    path.write_bytes(data)
    return path


def test_derived_ids_do_not_depend_on_order() -> None:
    labels = ["dog", "Zebra", "cat", "ähre", "cat", "__ignore__", "_background_"]
    derived = {ClassMap.derive(order).names for order in itertools.permutations(labels, 7)}
    assert derived == {("_background_", "Zebra", "cat", "dog", "ähre")}


@pytest.mark.parametrize(
    "data",
    [
        b"__ignore__\n_background_\ncat\nDog\n",
        b"__ignore__\ncat\nDog",
        b"_background_\ncat\nDog\n",
        b"cat\nDog\n",
        b"\xef\xbb\xbf__ignore__\r\n_background_\r\ncat\r\nDog\r\n",
        b"\xef\xbb\xbfcat\nDog\n",
        b"\n\ncat \n\n\n  Dog\n  \n",
        b"cat\rDog\r",
    ],
)
def test_lists_in_labelmes_convention(tmp_path: Path, data: bytes) -> None:
    classes = ClassMap.from_labels(listed(tmp_path, data))
    assert classes.names == ("_background_", "cat", "Dog")
    assert [classes.id_of(label) for label in ("_background_", "cat", "Dog", "__ignore__")] == [0, 1, 2, 255]
    assert classes.id_of("cats") is None
    assert classes.closest("dog") == " Did you mean 'Dog'?"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"cat\ndog\ncat\n", "line 3: 'cat' is listed twice, first in line 1"),
        (b"__ignore__\n__ignore__\ncat\n", "line 2: '__ignore__' is listed twice"),
        (b"\n\ncat\n__ignore__\n", "line 4: __ignore__ must be the first label"),
        ("z\u0307\nż\n".encode(), "line 2: 'ż' is listed twice"),
        (b"_background_\n_background_\ncat\n", "_background_"),
        (b"cat\n__ignore__\n", "line 2: __ignore__ must be the first label"),
        (b"cat\n_background_\n", "_background_ is class 0"),
        (b"\n \n", "names no class"),
        (b"__ignore__\n", "names no class"),
        (b"caf\xe9\n", "UTF-8"),
    ],
)
def test_bad_lists_are_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    path = listed(tmp_path, data)
    with pytest.raises(DataError) as raised:
        ClassMap.from_labels(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_ids_end_at_254(tmp_path: Path) -> None:
    names = [f"c{index:03}" for index in range(255)]
    full = ClassMap.read(listed(tmp_path, "\n".join(names).encode()))
    assert full.id_of("c254") == 254
    path = listed(tmp_path, "\n".join([*names, "more"]).encode())
    with pytest.raises(DataError, match=r"labels\.txt: 256 classes, but a mask holds at most 255"):
        ClassMap.read(path)
    with pytest.raises(DataError, match="256 classes"):
        ClassMap.derive(names)  # background is one more


def test_class_names_are_read_back_as_written(tmp_path: Path) -> None:
    classes = ClassMap(("sky", "tree house", "Über #1", "猫"))
    path = tmp_path / "class_names.txt"
    classes.write(path)
    assert path.read_bytes() == "sky\ntree house\nÜber #1\n猫\n".encode()
    assert ClassMap.read(path) == classes
    assert classes.background is None


@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=4) | st.sampled_from("ab"), max_size=4))
def test_names_from_a_model_are_those_that_a_list_may_hold(names: list[str]) -> None:
    """What is taken can be written and read back; what can be read is taken."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "class_names.txt")
        try:
            ClassMap.from_stored(names).write(path)
        except DataError:
            path.write_bytes("\n".join(names).encode(errors="surrogatepass"))
            try:
                read = ClassMap.read(path)
            except DataError:
                return
            assert list(read.names) != names
        else:
            read = ClassMap.read(path)
            assert list(read.names) == names
        assert ClassMap.from_stored(list(read.names)) == read


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("abc", "no list of names"),
        ({"a": "b"}, "no list of names"),
        (["a", 3], "no list of names"),
        ([], "at least one class"),
        (["a", "b", "a"], "class 'a' is listed twice$"),
        (["a", "\ud800"], r"the name of class 1 .*'\\ud800'"),
        (["a\n"], "the name of class 0"),
    ],
)
def test_what_is_no_class_list_is_said_in_a_line(names: Any, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        ClassMap.from_stored(names)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["gone.txt", "."])
def test_an_unreadable_list_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=tmp_path.name):
        ClassMap.read(tmp_path / name)


def test_palette_has_the_colours_of_voc() -> None:
    palette = voc_palette()
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        7: (128, 128, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    assert {index: tuple(palette[index].tolist()) for index in known} == known
    assert len({tuple(color) for color in palette.tolist()}) == 256
