"""What is kept of each finished picture, and how several journals become one."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RunError
from toolkit.prediction.folder.journal import Journal, Line, read_lines
from toolkit.prediction.folder.standing import all_tried, gather, merge, standing, summary

plain = st.text(max_size=12)
counts = st.lists(st.integers(0, 10**12), max_size=4).map(tuple)
lines = st.builds(
    Line,
    name=plain,
    source=plain,
    size=st.none() | st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    frame=st.none() | st.integers(0, 10**9),
    frames=st.none() | st.integers(0, 10**9),
    files=st.dictionaries(plain, plain, max_size=3),
    beside=st.none() | plain,
    kept=st.lists(plain, max_size=2).map(tuple),
    replaced=st.none() | plain,
    renewed=st.booleans(),
    pixels=counts,
    sureness=st.lists(st.integers(0, 10**6).map(lambda n: n / 10**6), max_size=4).map(tuple),
    tables=st.dictionaries(plain, st.dictionaries(plain, st.integers() | plain, max_size=2), max_size=2),
    failure=st.none() | plain,
)


@given(lines)
def test_lines_read_back_are_those_that_were_written(line: Line) -> None:
    data = line.encode()
    assert data.count(b"\n") == 1 and data.isascii()
    assert Line.decode(data) == line


def test_a_class_without_a_pixel_has_no_sureness_and_names_that_are_no_text_survive() -> None:
    line = Line("caf\udce9", "in/caf\udce9.jpg", sureness=(0.5, math.nan))
    assert json.loads(line.encode())["sureness"] == [0.5, None]
    read = Line.decode(line.encode())
    assert read is not None and read.name == line.name and math.isnan(read.sureness[1])


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,name source1null', max_size=60).map(str.encode))
def test_what_is_no_line_is_passed_over(data: bytes) -> None:
    found = Line.decode(data)
    assert found is None or data.endswith(b"\n")
    assert Line.decode(data + b'{"name": "a"}\n') is None


@pytest.mark.parametrize("torn", [b"", b"{", b'{"name": "b", "source": "b.jpg"}', b"\xff\x00" * 70_000])
def test_a_torn_last_line_is_cut_off_and_what_follows_is_whole(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "predictions.jsonl"
    first, second = Line("a", "a.jpg", pixels=(3, 4)), Line("c", "c.jpg", failure="broken")
    path.write_bytes(first.encode() + torn)
    assert [line for _, line in read_lines(path)] == [first]
    journal = Journal(path)
    journal.add(second)
    assert path.read_bytes() == first.encode() + second.encode(), "on the disk before it is closed"
    journal.close()
    assert [(offset, line.name) for offset, line in read_lines(path)] == [(0, "a"), (len(first.encode()), "c")]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"predictions\.jsonl: cannot be written"):
        Journal(tmp_path / "absent" / "predictions.jsonl")


def write(path: Path, *written: Line) -> None:
    journal = Journal(path)
    for line in written:
        journal.add(line)
    journal.close()


def test_merged_journals_have_a_line_for_each_picture_in_order_and_success_wins(tmp_path: Path) -> None:
    names = ["a", "b", "clip", "d"]
    good, bad = Line("b", "b.jpg", pixels=(1,)), Line("b", "b.jpg", failure="cut off")
    frames = [Line(f"clip/{n:06d}", "clip.mp4", frame=n, pixels=(2,)) for n in range(3)]
    film = Line("clip", "clip.mp4", frames=3)
    write(tmp_path / "predictions-1-of-2.jsonl", good, frames[1], frames[0], Line("gone", "gone.jpg", pixels=(9,)))
    write(tmp_path / "predictions-2-of-2.jsonl", bad, film, frames[2], Line("a", "a.jpg", pixels=(5,)), frames[1])
    write(
        tmp_path / "predictions.jsonl", bad, Line("d", "d.jpg", failure="first"), Line("d", "d.jpg", failure="second")
    )
    for _ in "12":  # once more changes nothing
        merge(tmp_path, names)
        merged = [line for _, line in read_lines(tmp_path / "predictions.jsonl")]
        assert [line.name for line in merged] == [
            "a", "b", "clip/000000", "clip/000001", "clip/000002", "clip", "d", "gone",
        ]  # fmt: skip
        assert merged[1] == good and merged[5] == film and merged[6].failure == "second"


def test_a_later_failure_wins_over_a_success_whose_files_are_gone(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"png")
    good = {name: Line(name, f"{name}.jpg", files={"mask": name}) for name in ("there", "gone")}
    bad = {name: Line(name, f"{name}.jpg", failure="cut off") for name in good}
    frame, film = Line("clip/000000", "clip.mp4", frame=0, files={"mask": "gone"}), Line("clip", "clip.mp4", frames=1)
    write(tmp_path / "predictions.jsonl", *good.values(), frame, film)
    write(tmp_path / "predictions-1-of-2.jsonl", *bad.values(), Line("clip", "clip.mp4", failure="cut off"))
    merge(tmp_path, ["there", "gone", "clip"])
    merged = [line for _, line in read_lines(tmp_path / "predictions.jsonl")]
    assert merged[:2] == [good["there"], bad["gone"]]
    assert merged[2:] == [frame, Line("clip", "clip.mp4", failure="cut off")]


def test_what_comes_after_journals_were_gathered_is_the_newest(tmp_path: Path) -> None:
    old, new = Line("a", "a.jpg", pixels=(1,)), Line("a", "a.jpg", pixels=(2,))
    write(tmp_path / "predictions-1-of-2.jsonl", old)
    gather(tmp_path, ["a"], "busy")
    assert [line for _, line in read_lines(tmp_path / "predictions.jsonl")] == [old]
    write(tmp_path / "predictions.jsonl", new)
    merge(tmp_path, ["a"])
    assert [line for _, line in read_lines(tmp_path / "predictions.jsonl")] == [new]


def test_done_is_what_has_a_line_and_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "mask/clip").mkdir(parents=True)
    for name in ("a", "clip/000000"):
        (tmp_path / "mask" / f"{name}.png").write_bytes(b"png")

    def files(name: str) -> dict[str, str]:
        return {"mask": f"mask/{name}.png"}

    write(
        tmp_path / "predictions.jsonl",
        Line("a", "a.jpg", files=files("a"), pixels=(1,)),
        Line("b", "b.jpg", files=files("b"), pixels=(1,)),
        Line("bad", "bad.jpg", failure="cut off"),
        Line("clip/000000", "clip.mp4", frame=0, files=files("clip/000000")),
        Line("clip", "clip.mp4", frames=1),
        Line("torn/000000", "torn.mp4", frame=0),
    )
    assert list(standing(tmp_path, ["a", "b", "bad", "clip", "torn", "new"])) == [1, 0, 0, 1, 0, 0]
    assert all_tried(tmp_path, ["a", "b", "bad", "clip"]), "what failed or is lost was tried"
    assert not all_tried(tmp_path, ["a", "torn"]) and not all_tried(tmp_path, ["a", "new"])
    (tmp_path / "mask/clip/000000.png").unlink()
    assert list(standing(tmp_path, ["clip"])) == [0], "a film lacks a frame"


def test_sums_count_pictures_and_frames_and_name_failures() -> None:
    total = summary(
        [
            Line("a", "a.jpg", pixels=(1, 2), kept=("a.json",)),
            Line("k", "k.jpg", kept=("k.json",)),
            Line("clip/000000", "clip.mp4", frame=0, pixels=(10, 20)),
            Line("clip", "clip.mp4", frames=1, failure="ends early"),
            Line("bad", "bad.jpg", failure="cut off"),
        ],
        2,
    )
    assert (total.images, total.frames, total.pixels, total.kept) == (1, 1, (11, 22), ("a.json", "k.json"))
    assert [(item.place, item.reason) for item in total.failures] == [
        ("clip.mp4", "ends early"),
        ("bad.jpg", "cut off"),
    ]
