"""Files that are no JSON, or JSON of another kind, or JSON that only looks odd."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from tests.conversion.cases import (
    ERROR,
    FOREIGN,
    IGNORED,
    Case,
    dog,
    named,
    odd,
    odd_picture,
    plain_text,
    run,
    text,
)
from toolkit.conversion.convert import convert
from toolkit.errors import DataError

PLAIN = plain_text()
NAN = json.dumps(content([dog(), dog([[1, float("nan")], [3, 4], [5, 6]])], "odd.jpg"))


def folder_called_json(folder: Path) -> None:
    (folder / "odd.json").mkdir()


def beside(name: str, value: Any) -> Any:
    return lambda folder: write_json(folder / name, value)


def pipe(name: str) -> Any:
    return lambda folder: os.mkfifo(folder / name)


def link(target: str, name: str = "odd.json") -> Any:
    return lambda folder: (folder / name).symlink_to(target)


def upper_case(folder: Path) -> None:
    odd(folder)
    (folder / "odd.json").rename(folder / "odd.JSON")


def mac_companion(folder: Path) -> None:
    (folder / "._odd.json").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    (folder / "._odd.jpg").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")


CASES = [
    Case("plain", text(PLAIN)),
    Case("minimal", text('{"shapes": [], "imagePath": "odd.jpg"}'), drawn=()),
    Case("no size, no version", text(json.dumps({"imagePath": "odd.jpg", "shapes": [dog()]}))),
    Case("bytes order mark", text("\ufeff" + PLAIN)),
    Case("utf-16 with mark", text(PLAIN.encode("utf-16"))),
    Case("utf-16 big endian", text(b"\xfe\xff" + PLAIN.encode("utf-16-be"))),
    Case("utf-32 with mark", text(PLAIN.encode("utf-32"))),
    Case("crlf and tabs", text(json.dumps(json.loads(PLAIN), indent="\t").replace("\n", "\r\n"))),
    Case("blank lines around", text("\n\n " + PLAIN + "\n\n\n")),
    Case("ascii escapes", text(plain_text(flags={"\u732b": True}))),
    Case("unknown keys everywhere", text(plain_text(foreign={"a": [1, {"b": None}]}, text="x", score=0.5))),
    Case("duplicate key, the last one counts", text(PLAIN[:-1] + ', "imagePath": "odd.jpg"}')),
    Case("upper case suffix", upper_case),
    Case("truncated", text(PLAIN[: len(PLAIN) // 2]), ERROR, ("odd.json: line 1 column", "not valid JSON")),
    Case("last brace missing", text(PLAIN[:-1]), ERROR, ("line 1 column",)),
    Case("zero bytes", text(b""), ERROR, ("odd.json: is empty",)),
    Case("whitespace only", text(" \r\n\t "), ERROR, ("odd.json: is empty",)),
    Case("bytes order mark only", text(b"\xef\xbb\xbf"), ERROR, ("odd.json: is empty",)),
    Case("utf-16 mark only", text(b"\xff\xfe"), ERROR, ("odd.json: is empty",)),
    Case("utf-16, half a unit", text(b"\xff\xfe{"), ERROR, ("odd.json: cannot be read as utf-16 text",)),
    Case("NUL only", text(b"\0" * 512), ERROR, ("odd.json: is empty",)),
    Case("NUL behind", text(PLAIN.encode() + b"\0" * 9), ERROR, ("odd.json: line 1 column",)),
    Case("NUL inside a text", text(PLAIN.replace("dog", "d\0g")), ERROR, ("Invalid control character",)),
    Case("utf-16 without mark", text(PLAIN.encode("utf-16-le")), ERROR, ("odd.json: line 1 column 2",)),
    Case("latin-1", text(PLAIN.replace("dog", "h\xe4nd").encode("latin-1")), ERROR, ("is not valid UTF-8 text",)),
    Case("gb18030", text(PLAIN.replace("dog", "\u732b\u72d7").encode("gb18030")), ERROR, ("--encoding gb18030",)),
    Case(
        "gb18030 and told so",
        text(PLAIN.replace("dog", "\u732b\u72d7").encode("gb18030")),
        options={"encoding": "gb18030"},
    ),
    Case("utf-8 with mark among gb18030", text("\ufeff" + PLAIN), options={"encoding": "gb18030"}),
    Case("utf-16 among gb18030", text(PLAIN.encode("utf-16")), options={"encoding": "gb18030"}),
    Case(
        "told a wrong encoding",
        text(b"\xff" + PLAIN.encode()),
        ERROR,
        ("as ascii text",),
        options={"encoding": "ascii"},
    ),
    Case("trailing comma", text(PLAIN[:-1] + ",}"), ERROR, ("line 1 column",)),
    Case("comment", text("// labelme\n" + PLAIN), ERROR, ("line 1 column 1",)),
    Case("single quotes", text(PLAIN.replace('"', "'")), ERROR, ("line 1 column 2",)),
    Case("python literal", text(PLAIN.replace("null", "None")), ERROR, ("line 1 column",)),
    Case("two values", text(PLAIN + PLAIN), ERROR, ("A second value follows the first",)),
    Case("JSON Lines", text(PLAIN + "\n" + PLAIN + "\n"), ERROR, ("line 2 column 1", "A second value")),
    Case(
        "conflict markers",
        text(f"<<<<<<< HEAD\n{PLAIN}\n=======\n{PLAIN}\n>>>>>>> theirs\n"),
        ERROR,
        ("conflict markers", "choose one side"),
    ),
    Case("xml", text("<annotation><object/></annotation>"), ERROR, ("odd.json: line 1 column 1",)),
    Case("html of a failed download", text("<!DOCTYPE html><title>404</title>"), ERROR, ("line 1 column 1",)),
    Case("git lfs pointer", text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), ERROR, ("line 1",)),
    Case("a picture called json", text(encoded(picture(), "PNG")), ERROR, ("is not valid UTF-8 text",)),
    Case("nested deeply", text("[" * 1_000_000), ERROR, ("odd.json: not an annotation",)),
    Case("nested deeply in an unknown key", text(PLAIN[:-1] + ', "x": ' + "[" * 99_999 + "]" * 99_999 + "}"), ERROR),
    Case("nested deeply in a label", text(PLAIN.replace('"dog"', "[" * 99_999 + "]" * 99_999)), ERROR),
    Case("an integer of 5000 digits", text(PLAIN[:-1] + ', "x": ' + "9" * 5000 + "}")),
    Case(
        "an integer of 5000 digits as height",
        text(plain_text(imageHeight=0)[:-1] + ', "imageHeight": ' + "9" * 5000 + "}"),
        ERROR,
    ),
    Case("5000 digits beside NaN", text(NAN[:-1] + ', "x": ' + "9" * 5000 + "}"), ERROR, ("not an annotation",)),
    Case("a list on top", text(f"[{PLAIN}]"), FOREIGN),
    Case("a text on top", text('"shapes imagePath"'), FOREIGN),
    Case("a number", text("3"), FOREIGN),
    Case("null", text("null"), FOREIGN),
    Case("an empty object", text("{}"), FOREIGN),
    Case("NaN on top", text("NaN"), FOREIGN),
    Case("COCO", beside("odd.json", {"images": [], "annotations": [], "categories": []}), FOREIGN),
    Case("package.json", beside("odd.json", {"name": "x", "version": "1.0.0"}), FOREIGN),
    Case("shapes only", text('{"shapes": []}'), FOREIGN),
    Case("imagePath only", text('{"imagePath": "odd.jpg"}'), FOREIGN),
    Case("geojson", beside("odd.json", {"type": "FeatureCollection", "features": []}), FOREIGN),
    Case("shapes in capitals", text(PLAIN.replace('"shapes"', '"Shapes"')), FOREIGN),
    Case("a pipe", pipe("odd.json"), FOREIGN),
    Case("AppleDouble companions", mac_companion, IGNORED),
    Case("a folder called json", folder_called_json, IGNORED),
    Case("half-written by labelme", beside("odd.json.tmp", {"shapes": [], "imagePath": "x"}), IGNORED),
    Case("backup", beside("odd.json~", {"shapes": [], "imagePath": "x"}), IGNORED),
    Case("in a hidden folder", beside(".cache/odd.json", content([dog()], "odd.jpg")), IGNORED),
    Case("a loop of folders", link(".", "odd"), IGNORED),
    Case("a link that leads nowhere", link("gone"), ERROR, ("odd.json: cannot be read: No such file",)),
    Case("a link to itself", link("odd.json"), ERROR, ("odd.json: cannot be read: Too many levels",)),
    Case("a link to a device", link("/dev/zero"), ERROR, ("odd.json: is no ordinary file",)),
]


@pytest.mark.skipif(os.name == "nt", reason="pipes and links of POSIX")
@pytest.mark.parametrize(**named(CASES))
def test_json(tmp_path: Path, case: Case) -> None:
    run(case, tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff\xfe\xff", b'{"shapes": 5, "imagePath": "a"}'])
def test_a_bad_file_alone_is_named_in_the_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "odd.json").write_bytes(data)
    with pytest.raises(DataError, match=r"odd\.json: "):
        convert(tmp_path / "in", tmp_path / "voc")
    assert not (tmp_path / "voc").exists()


def test_many_bad_files_are_all_in_the_report(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    for index in range(40):
        (tmp_path / "in" / f"bad_{index:02}.json").write_bytes(b"{" * index)
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert [Path(failure.place).name for failure in report.failures] == [f"bad_{i:02}.json" for i in range(40)]
    assert report.images == 1


def test_a_colon_in_the_name_of_a_bad_file_does_not_make_its_picture_background(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    (tmp_path / "in" / "odd: 1.json").write_text("{")
    odd_picture(tmp_path / "in", name="odd: 1.jpg")
    report = convert(tmp_path / "in", tmp_path / "voc", unlabelled="background")
    assert (report.images, len(report.failures)) == (1, 1)


def test_the_first_pass_is_enough_to_name_every_label_of_readable_files(tmp_path: Path) -> None:
    for index in range(5):
        write_json(tmp_path / "in" / f"f{index}.json", content([shape(f"label {index}")], "gone.jpg"))
    (tmp_path / "labels.txt").write_text("cat\n")
    with pytest.raises(DataError) as raised:
        convert(tmp_path / "in", tmp_path / "voc", labels=tmp_path / "labels.txt")
    assert all(f"'label {index}' (1 shape, first in" in str(raised.value) for index in range(5))
