"""Where pictures are, and what outputs are called."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.annotations import SIZE, annotated, content, encoded, picture, write_json
from tests.conversion.cases import ERROR, SILENT, WARNED, Case, dog, named, odd, odd_picture, run
from toolkit.conversion.convert import convert
from toolkit.conversion.report import ConvertReport
from toolkit.conversion.stems import output_stems
from toolkit.errors import DataError, SegError, UsageError

PHOTO = encoded(picture(8))


def recorded(path: str, *files: str) -> Callable[[Path], None]:
    """Maker of an annotation that records `path`, beside these picture files."""

    def make(folder: Path) -> None:
        write_json(folder / "odd.json", content([dog()], path))
        for name in files:
            odd_picture(folder, PHOTO, name)

    return make


def used(name: str, path: str, *files: str, says: str = "") -> Case:
    return Case(name, recorded(path, *files), WARNED if says else SILENT, (says,) if says else ())


def missing(name: str, path: str, *files: str, says: str = "imagePath: there is no image") -> Case:
    return Case(name, recorded(path, *files), ERROR, (f"odd.json: {says}",))


CASES = [
    used("in a subfolder", "pics/p.jpg", "pics/p.jpg"),
    used("backslash", "pics\\p.jpg", "pics/p.jpg"),
    used("dot and backslash", ".\\pics\\..\\pics\\p.jpg", "pics/p.jpg"),
    used("both slashes", "pics\\deep/p.jpg", "pics/deep/p.jpg"),
    used("doubled slashes", "pics//p.jpg", "pics/p.jpg"),
    used("out and back in", "../in/p.jpg", "p.jpg"),
    used("a name of blanks and letters", "mein Bild \u732b (1).jpg", "mein Bild \u732b (1).jpg"),
    used("a name with a colon", "a:b.jpg", "a:b.jpg"),
    used("a name of 200 letters", "p" * 200 + ".jpg", "p" * 200 + ".jpg"),
    used("a real backslash in the name", "a\\b.jpg", "a\\b.jpg"),
    used("leads out", "../p.jpg", "../p.jpg", says="odd.json: imagePath: leads out of the folder, to '../p.jpg'"),
    used("leads out with backslashes", "..\\out\\p.jpg", "../out/p.jpg", says="imagePath: leads out of the folder"),
    used("moved from Windows", "C:\\Users\\me\\p.jpg", "p.jpg", says="imagePath: 'C:\\Users\\me\\p.jpg' is not there"),
    used("moved from a share", "\\\\server\\share\\p.jpg", "p.jpg", says="used p.jpg beside it"),
    used("moved from Linux", "/home/me/p.jpg", "p.jpg", says="used p.jpg beside it"),
    used("a url", "https://host/p.jpg", "p.jpg", says="used p.jpg beside it"),
    used("moved into a subfolder", "p.jpg", "deep/er/p.jpg", says="used "),
    used("renamed like the annotation", "old.jpg", "odd.jpg", says="used odd.jpg beside it"),
    used("renamed, another suffix", "old.jpg", "odd.PNG", says="used odd.PNG beside it"),
    used("in capitals", "P.JPG", "p.jpg", says="used p.jpg beside it"),
    used("composed and not", "ka\u0308fer.jpg", "k\xe4fer.jpg", says="used k\xe4fer.jpg beside it"),
    used("a blank too many", "odd.jpg ", "odd.jpg", says="used odd.jpg beside it"),
    missing("not there", "gone.jpg"),
    missing(
        "several of its name", "p.jpg", "one/p.jpg", "two/p.jpg", says="imagePath: 'p.jpg' is not there, and several"
    ),
    missing("a system file", "../../../../../../../../etc/passwd"),
    missing("a system file, absolute", "/etc/passwd"),
    missing("memory", "/proc/self/mem"),
    missing("a terminal", "/dev/tty"),
    missing("NUL", "p\0.jpg"),
    missing("5000 letters", "p" * 5000),
    missing("half a character", "\ud800.jpg", says="imagePath: '\\ud800.jpg' holds half a character"),
    missing("the annotation itself", "odd.json"),
    missing("another annotation", "good.json"),
    missing("line feed", "a\nb.jpg"),
]


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX")
@pytest.mark.parametrize(**named(CASES))
def test_where_the_picture_is(tmp_path: Path, case: Case) -> None:
    make = case.make
    if "leads out" in case.name:
        (tmp_path / "out").mkdir()
    report = run(Case(case.name, make, case.outcome, case.says), tmp_path)
    if case.outcome != ERROR:
        assert (tmp_path / "voc" / "JPEGImages" / "odd.jpg").read_bytes() == PHOTO
    assert all("root:" not in str(finding) for finding in report.failures)


@pytest.mark.parametrize("flag", [True, False])
def test_predictions_lie_apart_from_their_pictures_and_nobody_is_warned_of_that(tmp_path: Path, flag: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    recorded("../photos/odd.jpg", "../photos/odd.jpg")(folder)
    values = json.loads((folder / "odd.json").read_text(encoding="utf-8"))
    write_json(folder / "odd.json", values | {"flags": {"predicted": flag}})
    report = convert(folder, tmp_path / "voc")
    assert "leads out" not in " ".join(map(str, report.remarks))
    assert (tmp_path / "voc" / "JPEGImages" / "odd.jpg").read_bytes() == PHOTO


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
@pytest.mark.parametrize("how", ["link", "copy", "another picture"])
def test_a_picture_elsewhere_that_lies_beside_the_annotation_too(tmp_path: Path, how: str) -> None:
    (tmp_path / "in").mkdir()
    recorded("../photos/odd.jpg", "../photos/odd.jpg")(tmp_path / "in")
    beside = tmp_path / "in" / "odd.jpg"
    if how == "link":
        beside.symlink_to("../photos/odd.jpg")
    else:
        beside.write_bytes(PHOTO if how == "copy" else PHOTO + b" ")
    remarks = " ".join(map(str, convert(tmp_path / "in", tmp_path / "voc").remarks))
    assert ("leads out" in remarks) == (how == "another picture")


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_messages_name_pictures_by_their_shortest_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "in").mkdir(parents=True)
    recorded("../../photos/odd.jpg", "../../photos/odd.jpg")(Path("runs/in"))
    annotated(Path("runs/in"), "good")
    Path("photos/odd.jpg").write_bytes(b"no picture")
    assert convert(Path("runs/in"), Path("voc")).failures[0].reason.startswith("photos/odd.jpg: not an image")
    Path("photos/odd.jpg").write_bytes(PHOTO)
    Path("elsewhere/deep").mkdir(parents=True)
    Path("runs").rename("elsewhere/deep/runs")
    Path("runs").symlink_to("elsewhere/deep/runs")  # now `runs/in/../..` is not the folder in which `runs` is
    Path("photos").rename("elsewhere/deep/photos")
    Path("photos").mkdir()
    Path("photos/odd.jpg").write_bytes(b"no picture")
    assert convert(Path("runs/in"), Path("new")).ok


def test_an_absolute_path_within_the_folder(tmp_path: Path) -> None:
    recorded(str(tmp_path / "in" / "p.jpg"), "p.jpg")(tmp_path / "in")
    assert convert(tmp_path / "in", tmp_path / "voc").remarks == ()


def test_a_link_to_the_folder_is_converted_like_the_folder(tmp_path: Path) -> None:
    annotated(tmp_path / "real", "good")
    (tmp_path / "in").symlink_to("real")
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert (report.images, report.remarks) == (1, ())


def test_a_linked_folder_elsewhere_is_said(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    annotated(tmp_path / "other", "more")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "other")
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert report.images == 1
    assert ["link to a folder" in str(finding) for finding in report.remarks] == [True]


IMAGES = {
    "by name": (("p.jpg",), "p.jpg"),
    "in the same subfolder": (("sub/p.jpg",), "p.jpg"),
    "by the annotation's stem": (("odd.png",), "gone.jpg"),
    "anywhere below": (("x/y/p.jpg",), "p.jpg"),
    "in capitals": (("P.JPG",), "p.jpg"),
    "windows path": (("p.jpg",), "D:\\data\\p.jpg"),
}


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_pictures_in_a_folder_of_their_own(tmp_path: Path, name: str) -> None:
    files, path = IMAGES[name]
    write_json(tmp_path / "in" / "sub" / "odd.json", content([dog()], path))
    for file in files:
        odd_picture(tmp_path / "pictures", PHOTO, file)
    report = convert(tmp_path / "in", tmp_path / "voc", images=tmp_path / "pictures")
    assert (report.images, report.failures) == (1, ())


def test_a_folder_of_pictures_that_is_not_there(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    (tmp_path / "file").touch()
    for name in ("gone", "file"):
        with pytest.raises(DataError, match=f"{name}: there is no such folder"):
            convert(tmp_path / "in", tmp_path / "voc", images=tmp_path / name)


def stems_of(report: ConvertReport) -> dict[str, str]:
    with (report.root / "sources.csv").open(encoding="utf-8", newline="") as file:
        return {row["source"]: row["stem"] for row in csv.DictReader(file)}


NAMES = [
    ["a.json", "A.json"],
    ["a.json", "a.JSON"],
    ["a.json", "b/a.json", "c/a.json", "b__a.json"],
    ["a.b.json", "a.c.json"],
    ["x.jpg.json", "x.png.json", "x.json"],
    ["stra\u00dfe.json", "STRASSE.json"],
    ["k\xe4fer.json", "ka\u0308fer.json"],
    ["con.json", "NUL.json", "aux.txt.json"],
    [" a.json", "a.json", "a .json"],
    ["a?.json", "a*.json", "a_.json", 'a".json'],
    ["a\nb.json", "a\tb.json"],
    ["\u2028.json", "...json", "-.json", "--help.json"],
    ["a,b.json", 'a"b.json', "=1+1.json"],
    ["\U0001f431.json", "\u202ea.json"],
    ["x" * 240 + ".json", "x" * 239 + "y.json"],
    ["a b/c d.json", "a b__c d.json", "a b/e/c d.json"],
]


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX")
@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0][:20].encode("unicode_escape").decode())
def test_outputs_never_share_a_name(tmp_path: Path, names: list[str]) -> None:
    for index, name in enumerate(names):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        odd_picture(path.parent, encoded(picture(index)), f"picture {index}.jpg")
        write_json(path, content([dog()], f"picture {index}.jpg"))
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert (report.images, report.failures) == (len(names), ())
    stems = stems_of(report)
    assert set(stems) == set(names)
    assert len({stem.casefold() for stem in stems.values()}) == len(names)
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        assert len(list((tmp_path / "voc" / folder).iterdir())) == len(names)
    for index, name in enumerate(names):
        copied = (tmp_path / "voc" / "JPEGImages" / f"{stems[name]}.jpg").read_bytes()
        assert copied == encoded(picture(index))


def test_what_macos_takes_for_one_name_becomes_two() -> None:
    paths = [Path("in/\xe4.json"), Path("in/a\u0308.json")]
    assert len({name.encode() for name in output_stems(paths, Path("in"), {}).values()}) == 2
    assert "__2" in str(output_stems(paths, Path("in"), {}))


def test_pictures_without_annotation(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    odd_picture(tmp_path / "in", PHOTO, "lone.jpg")
    odd_picture(tmp_path / "in", PHOTO, "sub/lone.png")
    odd_picture(tmp_path / "in", b"\0\5", "._lone.jpg")
    skipped = convert(tmp_path / "in", tmp_path / "skipped")
    assert (skipped.images, skipped.unlabelled) == (1, 2)
    taken = convert(tmp_path / "in", tmp_path / "taken", unlabelled="background")
    assert (taken.images, taken.unlabelled, taken.without_shapes) == (3, 0, 2)
    assert taken.pixels["_background_"] == 3 * SIZE[0] * SIZE[1] - skipped.pixels["cat"]
    with pytest.raises(UsageError, match="Did you mean 'skip'"):
        convert(tmp_path / "in", tmp_path / "voc", unlabelled="skipp")


def test_the_picture_of_a_broken_annotation_is_not_background(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    odd(tmp_path / "in")
    (tmp_path / "in" / "odd.json").write_text("{")
    report = convert(tmp_path / "in", tmp_path / "voc", unlabelled="background")
    assert (report.images, len(report.failures)) == (1, 1)


OUT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda root: (root / "voc").touch(), "voc"),
    "below a file": (lambda root: (root / "voc").touch(), "voc/deep"),
    "a link to nothing": (lambda root: (root / "voc").symlink_to("gone/deeper"), "voc"),
    "a part is a file": (lambda root: odd_picture(root / "voc", name="JPEGImages"), "voc"),
}


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
@pytest.mark.parametrize("name", sorted(OUT))
def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    prepare, out = OUT[name]
    annotated(tmp_path / "in", "good")
    prepare(tmp_path)
    with pytest.raises(SegError, match="voc"):
        convert(tmp_path / "in", tmp_path / out)


def test_the_dataset_may_lie_inside_the_folder_or_around_it(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    inside = tmp_path / "in" / "voc"
    assert convert(tmp_path / "in", inside).images == 1
    assert convert(tmp_path / "in", inside, update=True).images == 1
    shutil.rmtree(inside)
    assert convert(tmp_path / "in", tmp_path).images == 1
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["images"] == 1


def test_the_dataset_may_be_written_into_the_folder_itself(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    assert convert(tmp_path / "in", tmp_path / "in").images == 1
    assert convert(tmp_path / "in", tmp_path / "in", update=True).images == 1
