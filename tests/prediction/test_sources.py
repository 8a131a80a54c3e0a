"""Which pictures are meant by what the user names, and what their predictions will be called."""

import io
import itertools
import os
import sys
import tracemalloc
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import DataError, SegError, UsageError
from toolkit.prediction.sources import Sources, find_sources


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def named(sources: Sources) -> dict[str, str]:
    """Name of the output -> path of the picture."""
    names = {str(source.name): source.path.as_posix() for source in sources}
    assert len({name.casefold() for name in names}) == len(sources), "every picture has a name of its own"
    return names


def found(*given: str | Path) -> dict[str, str]:
    return named(find_sources(given))


def test_folder_is_searched_with_its_subfolders_and_its_tree_is_kept() -> None:
    touch(
        "in/b.jpg", "in/a.PNG", "in/sub/deep/c.tiff", "in/notes.txt", "in/.hidden.jpg", "in/.cache/d.jpg", "in/x.json"
    )
    assert list(found("in").items()) == [("a", "in/a.PNG"), ("b", "in/b.jpg"), ("sub/deep/c", "in/sub/deep/c.tiff")]


def test_a_pattern_takes_the_pictures_that_match_and_keeps_the_tree_below_its_fixed_part() -> None:
    touch("in/a1.jpg", "in/a2.jpg", "in/b1.jpg", "in/a3.txt", "in/sub/a4.jpg")
    assert list(found("in/a*")) == ["a1", "a2"]
    assert list(found("in/**/a*.jpg")) == ["a1", "a2", "sub/a4"]


def test_brackets_in_a_files_name_are_no_pattern() -> None:
    touch("photo [1].jpg", "photo 1.jpg")
    assert found("photo [1].jpg") == {"photo [1]": "photo [1].jpg"}


def test_a_picture_named_twice_is_predicted_once() -> None:
    touch("in/a.jpg", "in/b.jpg")
    again = ("in/a.jpg", "in/*.jpg", Path("in") / "b.jpg", "./in", Path("in/a.jpg").resolve(), "in/../in/b.jpg")
    assert found("in", *again) == {"a": "in/a.jpg", "b": "in/b.jpg"}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_named_by_a_link_too_is_predicted_once() -> None:
    touch("in/a.jpg")
    Path("link").symlink_to("in", target_is_directory=True)
    assert list(found("in", "link").values()) == ["in/a.jpg"]


def test_several_folders_and_files_keep_their_paths_below_what_they_have_in_common() -> None:
    touch("data/one/a.jpg", "data/two/a.jpg", "data/three/deep/A.jpg", "data/b.jpg")
    assert found("data/one", "data/two", "data/three", "data/b.jpg") == {
        "one/a": "data/one/a.jpg",
        "two/a": "data/two/a.jpg",
        "three/deep/A": "data/three/deep/A.jpg",
        "b": "data/b.jpg",
    }
    assert find_sources(["data/one", "data/two"]).root == str(Path("data").absolute())


def test_pictures_that_differ_in_their_suffix_only_keep_it() -> None:
    touch("in/a.jpg", "in/a.png", "in/b.jpg")
    assert found("in") == {"a.jpg": "in/a.jpg", "a.png": "in/a.png", "b": "in/b.jpg"}


@pytest.mark.skipif(sys.platform != "linux", reason="a file system that tells case apart")
def test_pictures_that_differ_in_case_only_are_numbered() -> None:
    touch("in/a.jpg", "in/A.jpg", "in/b/x.jpg", "in/B/X.jpg")
    assert len(found("in")) == 4


def test_dots_in_names_survive() -> None:
    touch("in/v1.2.jpg", "in/v1.3.jpg", "in/v1/x.jpg", "in/v1.2/y.jpg")
    assert list(found("in")) == ["v1.2", "v1.3", "v1/x", "v1.2/y"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "an empty text names nothing"),
        ("absent.jpg", "absent.jpg: there is no such file or folder"),
        ("absent/*.jpg", "absent/*.jpg: no picture matches the pattern"),
        ("empty", "empty: no picture in it (.jpg,"),
        ("in/*.md", "in/*.md: no picture matches the pattern"),
        ("@absent.txt", "absent.txt: "),
        ("blank.txt", "blank.txt: no path in it"),
        ("camera:front", "a camera is camera:0"),
        ("bad\0name", "there is no such file or folder"),
    ],
)
def test_what_is_not_there_is_named(given: str, said: str) -> None:
    touch("in/a.jpg", "in/notes.md")
    Path("blank.txt").write_text("\n \n", encoding="utf-8")
    Path("empty").mkdir()
    with pytest.raises(SegError) as caught:
        find_sources(["in", given])
    assert said in str(caught.value)


def test_predictions_made_before_are_not_predicted() -> None:
    touch("in/a.jpg", "in/runs/predict-1/mask/a.png", "in/runs/train-1/val_samples.jpg", "in/runs/b.jpg")
    assert list(found("in")) == ["a", "runs/b"]


def test_what_is_named_itself_is_tried_whatever_its_suffix() -> None:
    touch("in/a.jpg", "in/scan.dat", "in/.hidden.jpg")
    assert found("in/scan.dat", "in/.hidden.jpg") == {"scan": "in/scan.dat", ".hidden": "in/.hidden.jpg"}


def test_results_that_lie_among_the_pictures_are_not_predicted_unless_asked_for() -> None:
    touch("in/a.jpg", "in/out/mask/a.png", "in/out/overlay/a.jpg", "in/outside/b.jpg")
    for searched in (["in"], ["in/**/*.*"], ["."]):
        places = [source.place for source in find_sources(searched, without=Path("in/out"))]
        assert [Path(place).as_posix() for place in places] == ["in/a.jpg", "in/outside/b.jpg"]
    assert len(find_sources(["in/out/overlay", "in/out/mask/a.png"], without=Path("in/out"))) == 2


def test_what_another_call_predicted_is_found_in_no_folder_and_by_no_pattern() -> None:
    touch("in/a.jpg", "in/res/mask/deep/a.png", "in/app/b.jpg", "in/bad/c.jpg")
    Path("in/res/manifest.json").write_text('{"seg": "1", "sources": ["in"]}', encoding="utf-8")
    Path("in/app/manifest.json").write_text('{"name": "app", "sources": []}', encoding="utf-8")
    Path("in/bad/manifest.json").write_bytes(b"\0")
    for searched in ("in", "in/**/*", ".", "./in/", str(Path("in").absolute()), "*/**/*.*g"):
        assert [Path(source.place).name for source in find_sources([searched])] == ["a.jpg", "b.jpg", "c.jpg"], searched
    for named_itself in ("in/res", "in/res/mask", "in/res/mask/**/*.png", "in/res/mask/deep/a.png"):
        assert len(find_sources(["in", named_itself])) == 4
    with pytest.raises(DataError, match="but for what seg predicted: name that folder itself"):
        find_sources(["in/r*/**/*.png"])


def test_names_that_are_written_alike_on_some_systems_are_told_apart() -> None:
    lines = "in/caf\u00e9.jpg\nin/cafe\u0301.jpg\n"
    sources = find_sources(["-"], standard_input=io.BytesIO(lines.encode()))
    assert len({unicodedata.normalize("NFC", label) for label in sources.labels}) == 2


# lists


def test_lists_hold_a_path_a_line_as_seen_from_the_working_folder() -> None:
    touch("in/a.jpg", "in/sub/b.dat")
    Path("lists").mkdir()
    Path("lists/val.txt").write_bytes(b"\xef\xbb\xbfin/a.jpg\r\n\r\nin/sub/b.dat\nin/./a.jpg\nnot/there.jpg")
    expected = {"in/a": "in/a.jpg", "in/sub/b": "in/sub/b.dat", "not/there": "not/there.jpg"}
    assert found("lists/val.txt") == found("@lists/val.txt") == expected
    listed = io.BytesIO(Path("lists/val.txt").read_bytes())
    assert named(find_sources(["-"], standard_input=listed)) == expected


def test_a_list_that_is_meant_as_seen_from_its_own_folder_says_where_to_run() -> None:
    touch("data/imgs/a.jpg")
    Path("data/val.txt").write_text("imgs/a.jpg\n", encoding="utf-8")
    with pytest.raises(DataError, match="Run seg in data"):
        find_sources(["data/val.txt"])


def test_a_picture_called_like_a_list_is_no_list() -> None:
    touch("@home.jpg", "in/list.txt.jpg")
    assert list(found("@home.jpg", "in/list.txt.jpg")) == ["@home", "in/list.txt"]


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names there are always text")
def test_names_that_are_no_text_are_kept() -> None:
    raw = b"in/caf\xe9.jpg"
    Path("in").mkdir()
    Path(os.fsdecode(raw)).touch()
    Path("list.txt").write_bytes(raw + b"\n")
    assert [os.fsencode(source.path) for source in find_sources(["list.txt"])] == [raw]
    assert [os.fsencode(source.path) for source in find_sources(["in"])] == [raw]
    assert find_sources(["in"]).checksum


def test_something_else_than_a_list_is_refused() -> None:
    Path("tricky.txt").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(DataError, match="is no list of paths"):
        find_sources(["tricky.txt"])


# films and cameras


def test_films_are_found_too_and_their_frames_never_lie_among_pictures() -> None:
    touch("in/a.mp4", "in/a/000001.jpg", "in/b.MOV", "in/c.mkv", "in/c.png", "in/d.jpg")
    sources = find_sources(["in"])
    names = named(sources)
    films = {str(source.name) for source in sources if source.has_frames}
    assert sources.films == 3 and names["b"] == "in/b.MOV" and names["c.mkv"] == "in/c.mkv"
    pictures = set(names) - films
    assert not [(film, picture) for film in films for picture in pictures if picture.startswith(f"{film}/")]
    assert names["a/000001"] == "in/a/000001.jpg"


def test_cameras_by_number_unless_a_file_is_called_so() -> None:
    (source,) = find_sources(["0"])
    assert (source.camera, str(source.name), source.has_frames) == (0, "camera-0", True)
    assert find_sources(["camera:12"])[0].camera == 12
    assert find_sources(["-"], standard_input=io.BytesIO(b"camera:0\n"))[0].camera is None
    touch("0")
    assert find_sources(["0"])[0].camera is None
    with pytest.raises(UsageError, match="alone"):
        find_sources(["camera:0", "0"])


# many


def test_thousands_of_pictures_cost_a_few_hundred_bytes_each() -> None:
    count = 4000
    Path("in").mkdir()
    lines = "".join(f"in/folder_{i % 50:03d}/photograph_{i:06d}.jpg\n" for i in range(count))
    Path("list.txt").write_text(lines, encoding="utf-8")
    tracemalloc.start()
    sources = find_sources(["list.txt"])
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sources) == count
    assert kept / count < 300 and most / count < 1000


def test_many_of_one_name_are_numbered_quickly() -> None:
    lines = "".join(f"in/{''.join(letters)}.jpg\n" for letters in itertools.product("aA", "bB", "cC", "dD", "eE", "fF"))
    Path("list.txt").write_text(lines, encoding="utf-8")
    assert len(found("list.txt")) == 64


@pytest.mark.parametrize("letter", ["x", "ü", "\U0001f600"])
def test_names_as_long_as_a_system_allows_leave_room_for_a_suffix(letter: str) -> None:
    stem = letter * (251 // len(letter.encode()))
    names = named(listed([f"in/{stem}.jpg", f"in/{stem}.png", f"in/{stem[:-1]}.jpg"]))
    assert len(names) == 3
    assert all(len(f"{name}.json".encode()) <= 255 for name in names)


part = st.sampled_from(["a", "A", "b", "a.png", "a.jpg", "a-2", "a.b", "000001"])
place = st.builds(
    lambda folders, name, suffix: "/".join([*folders, f"{name}{suffix}"]),
    st.lists(part, max_size=2),
    part,
    st.sampled_from([".jpg", ".png", ".JPG", ".mp4", ".avi", ""]),
)


def listed(places: list[str]) -> Sources:
    return find_sources(["-"], standard_input=io.BytesIO("\n".join(places).encode()))


@settings(max_examples=300, deadline=None)
@given(st.lists(place, min_size=1, max_size=12, unique=True))
def test_nothing_that_is_written_is_in_the_way_of_something_else(places: list[str]) -> None:
    """Whatever the names: on a file system that ignores case, all outputs are different files, and no file is a folder."""
    sources = listed(places)
    assert len(sources) == len(places)
    written: list[str] = []
    for source in sources:
        for suffix in (".png", ".jpg", ".json", ".mp4"):
            written.append(f"{source.name}{suffix}")
        if source.has_frames:
            written += [f"{source.name}/{frame:06d}.png" for frame in range(3)]
    folded = {path.casefold() for path in written}
    assert len(folded) == len(written)
    folders = {parent for path in folded for parent in itertools.accumulate(path.split("/")[:-1], "{}/{}".format)}
    assert not folders & folded
    assert [source.label for source in sources] == [source.label for source in listed(places)]
