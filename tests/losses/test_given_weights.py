"""Weights that the user gives: numbers, files with numbers, files with names, and files that are none of it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError, SegError, UsageError
from toolkit.labels.annotation import clean_label
from toolkit.labels.classmap import ClassMap
from toolkit.losses.class_weights import weights_from_counts
from toolkit.losses.given_weights import read_given, weights_yaml
from toolkit.voc.counts import PixelCounts

CLASSES = ClassMap(("_background_", "disc", "bar", "ghost"))
COUNTS = PixelCounts(
    np.array([800, 150, 50, 0]), np.array([9, 9, 9, 0]), np.array([1000, 1000, 1000, 0]), ignored=0, total=9
)


def weights(choice: str) -> list[float]:
    made = weights_from_counts(choice, COUNTS, CLASSES)
    assert made.method == "given"
    values: list[float] = made.values.tolist()
    return values


def refusal(choice: str) -> SegError:
    with pytest.raises(SegError) as caught:
        weights(choice)
    assert len(str(caught.value)) < 450
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("text", ["1,5,2.5,0", " 1 , 5 ,2.5, 0 ", "1,5,2.5,0,", "1e0,.5e1,25e-1,0"])
def test_numbers_are_taken_as_given(text: str) -> None:
    assert weights(text) == [1, 5, 2.5, 0]


def test_more_numbers_than_a_file_name_has_letters() -> None:
    given = read_given(",".join(["1.0625"] * 200))
    assert given is not None
    assert given.fit(ClassMap(tuple(map(str, range(200))))).tolist() == [1.0625] * 200


@pytest.mark.parametrize(
    "text",
    [
        "1\n5\n2.5\n0\n",
        "1,5,2.5,0",
        "\ufeff1\r\n5\r\n2.5\r\n0\r\n",
        "1,\n5,\n\n2.5,\n0,\n",
        "_background_: 1\ndisc: 5\nbar: 2.5\nghost: 0\n",
        "# by hand\nghost: 0.0   # not there yet\nbar: 25e-1\n_background_: 1\n'disc': '5'\n",
        '{"bar": 2.5, "disc": 5, "ghost": 0, "_background_": 1}',
        "\ufeffbar: &x 2.5\r\ndisc: 5\r\n' ghost ': 0\r\n_background_: 1\r\n",
    ],
)
def test_a_file_has_numbers_in_order_or_names_in_any(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.txt"
    path.write_bytes(text.encode())
    assert weights(str(path)) == [1, 5, 2.5, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3", "class weights: 4 numbers are needed (_background_, disc, bar, ghost), got 3"),
        ("1,2,3,4,5", "got 5"),
        ("1,2,x,4", "'1,2,x,4'"),
        ("1,,2,3,4", "'1,,2,3,4'"),
        ("1,2,-3,4", "numbers from 0 on are needed, got -3"),
        ("1,2,nan,4", "numbers from 0 on are needed, got nan"),
        ("1,2,1e999,4", "numbers from 0 on are needed, got inf"),
        ("1,2,1e30,4", "got 1e+30. Above 0, they go from 1e-12 to 1e+12"),
        ("1,2,1e-40,4", "got 1e-40. Above 0, they go from 1e-12 to 1e+12"),
        ("0,0,0,0", "at least one number above 0"),
        ("0,0,0,5", "every class that occurs has weight 0"),
        ("", "class weights '' is not known"),
    ],
)
def test_numbers_that_cannot_be_used(text: str, said: str) -> None:
    error = refusal(text)
    assert isinstance(error, UsageError)
    assert said in str(error)


@pytest.mark.parametrize("name", ["absent.txt", "weights/absent", "..\\absent", "a.b.yaml"])
def test_a_file_that_is_not_there(name: str) -> None:
    error = refusal(name)
    assert isinstance(error, DataError)
    assert str(error) == f"{name}: there is no such file of class weights."


FIRST = "_background_: 1\ndisc: 2\nbar: 3\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FIRST, "there is no weight for ghost"),
        (FIRST + "gost: 1", "'gost' is no class of the dataset. Did you mean 'ghost'? Classes: _background_, disc"),
        (FIRST + "disc: 1\nghost: 1", "'disc' is listed twice"),
        (FIRST + "'disc ': 1\nghost: 1", "'disc ' is listed twice"),
        (FIRST + "ghost: .nan", "line 4: 'ghost': a number is needed, got '.nan'"),
        (FIRST + "ghost: nan", "'ghost': numbers from 0 on are needed, got nan"),
        (FIRST + "ghost: -1", "'ghost': numbers from 0 on are needed, got -1"),
        (FIRST + "ghost: true", "line 4: 'ghost': a number is needed, got 'true'"),
        (FIRST + "ghost: large", "line 4: 'ghost': a number is needed, got 'large'"),
        (FIRST + "ghost:", "line 4: 'ghost': a number is needed, got ''"),
        (FIRST + "ghost: [1]", "line 4: 'ghost': a number is needed, got a list"),
        (FIRST + "? [ghost]\n: 1", "line 4: a class name is needed"),
        ("", "4 numbers are needed (_background_, disc, bar, ghost), got 0"),
        ("1\n2\n3\n", "4 numbers are needed (_background_, disc, bar, ghost), got 3"),
        ("1\n2\nthree\n4\n", "line 3 is 'three'. Write one number a line"),
        ("0\n0\n0\n0\n", "at least one number above 0"),
        ("_background_: 0\ndisc: 0\nbar: 0\nghost: 1", "every class that occurs has weight 0"),
        ("- 1\n- 2\n- 3\n- 4\n", "line 1 is '- 1'"),
        ("{}", "line 1 is '{}'"),
        ("<<: *base\n", "undefined alias"),
        ("&all {disc: *all}", "'disc': a number is needed, got a list or a mapping"),
        ("a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]", "'a': a number is needed, got a list"),
        ("!!python/object/apply:os.getcwd []", "holds no class weights"),
        ("--- 1\n--- 2\n", "is neither numbers nor YAML"),
        ('"\\UFFFFFFFF": 1', "is neither numbers nor YAML"),
        ("%YAML " + "1" * 5000 + "\n---\n{}", "is neither numbers nor YAML"),
        ("[" * 5000, "is neither numbers nor YAML"),
        ("{disc: " * 5000, "is neither numbers nor YAML"),
        ("disc\0: 1", "is neither numbers nor YAML"),
        ("1\n" * 100_000, "has 200,000 bytes, too many for class weights"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(text.encode())
    error = refusal(str(path))
    assert isinstance(error, DataError)
    assert str(error).startswith(f"{path}: ")
    assert said in str(error)


@pytest.mark.parametrize(
    "content", ["_background_: 1".encode("utf-16"), "brücke: 1".encode("latin-1"), b"\xff\xd8\xff"]
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    assert "weights: cannot be read as UTF-8 text" in str(refusal(str(path)))


def test_what_is_no_file(tmp_path: Path) -> None:
    assert str(refusal(str(tmp_path))) == f"{tmp_path}: is a folder; a file with class weights is needed."


names_of_classes = st.text(min_size=1, max_size=200).map(clean_label).filter(bool)
odd_names = st.sampled_from(
    ["yes", "no", "null", "~", "1", "1e3", "0x1F", "<<", "=", "a: b", "# x", "- x", "'", '"', "&a"]
)


@given(
    st.dictionaries(odd_names | names_of_classes, st.floats(1e-12, 1e12) | st.just(0.0), min_size=1, max_size=9).filter(
        lambda mapping: any(mapping.values())
    )
)
def test_what_is_written_is_read_to_the_last_digit_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, mapping: dict[str, float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    text = weights_yaml("class weights: as given", mapping, np.array(list(mapping.values())))
    path.write_text(text, encoding="utf-8", newline="\n")
    given = read_given(str(path))
    assert given is not None
    shuffled = ClassMap(tuple(sorted(mapping)))
    assert given.fit(shuffled).tolist() == [mapping[name] for name in shuffled.names]


def test_a_hundred_classes_do_not_fill_the_screen() -> None:
    given = read_given("1,2")
    assert given is not None
    with pytest.raises(UsageError, match=r"100 numbers are needed .*, 11 and 88 more\), got 2") as caught:
        given.fit(ClassMap(tuple(map(str, range(100)))))
    assert len(str(caught.value)) < 130
