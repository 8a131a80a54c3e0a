"""Which pictures are meant by what the user names, and what their predictions will be called."""

from pathlib import Path

import pytest

from toolkit.errors import DataError
from toolkit.prediction.sources import find_sources


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(*given: str | Path) -> dict[str, str]:
    """Name of the output -> path of the picture."""
    sources = find_sources(given)
    names = {str(source.name): source.path.as_posix() for source in sources}
    assert len({name.casefold() for name in names}) == len(sources), "every picture has a name of its own"
    return names


def test_folder_is_searched_with_its_subfolders_and_its_tree_is_kept() -> None:
    touch(
        "in/b.jpg", "in/a.PNG", "in/sub/deep/c.tiff", "in/notes.txt", "in/.hidden.jpg", "in/.cache/d.jpg", "in/x.json"
    )
    assert list(found("in").items()) == [("a", "in/a.PNG"), ("b", "in/b.jpg"), ("sub/deep/c", "in/sub/deep/c.tiff")]


def test_a_pattern_takes_the_pictures_that_match() -> None:
    touch("in/a1.jpg", "in/a2.jpg", "in/b1.jpg", "in/a3.txt", "in/sub/a4.jpg")
    assert list(found("in/a*")) == ["a1", "a2"]
    assert list(found("in/**/a*.jpg")) == ["a1", "a2", "a4"]


def test_brackets_in_a_files_name_are_no_pattern() -> None:
    touch("photo [1].jpg", "photo 1.jpg")
    assert found("photo [1].jpg") == {"photo [1]": "photo [1].jpg"}


def test_a_picture_named_twice_is_predicted_once() -> None:
    touch("in/a.jpg", "in/b.jpg")
    again = ("in/a.jpg", "in/*.jpg", Path("in") / "b.jpg", "./in", Path("in/a.jpg").resolve(), "in/../in/b.jpg")
    assert found("in", *again) == {"a": "in/a.jpg", "b": "in/b.jpg"}


def test_pictures_that_differ_in_their_suffix_only_keep_it() -> None:
    touch("in/a.jpg", "in/a.png", "in/b.jpg")
    assert found("in") == {"a.jpg": "in/a.jpg", "a.png": "in/a.png", "b": "in/b.jpg"}


def test_pictures_of_one_name_from_two_folders_are_numbered() -> None:
    touch("one/a.jpg", "two/a.jpg", "three/A.jpg")
    assert sorted(found("one", "two", "three").values()) == ["one/a.jpg", "three/A.jpg", "two/a.jpg"]


def test_dots_in_names_survive() -> None:
    touch("in/v1.2.jpg", "in/v1.3.jpg")
    assert list(found("in")) == ["v1.2", "v1.3"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("absent.jpg", "absent.jpg: there is no such file or folder"),
        ("absent/*.jpg", "absent/*.jpg: no picture matches the pattern"),
        ("empty", "empty: no picture in it (.jpg,"),
        ("in/*.txt", "in/*.txt: no picture matches the pattern"),
    ],
)
def test_what_is_not_there_is_named(given: str, said: str) -> None:
    touch("in/a.jpg", "in/notes.txt")
    Path("empty").mkdir()
    with pytest.raises(DataError) as caught:
        find_sources(["in", given])
    assert said in str(caught.value)


def test_predictions_made_before_are_not_predicted() -> None:
    touch("in/a.jpg", "in/runs/predict-1/mask/a.png", "in/runs/train-1/val_samples.jpg", "in/runs/b.jpg")
    assert list(found("in")) == ["a", "runs/b"]
