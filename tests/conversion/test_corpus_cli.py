"""Exit codes and messages of `seg convert`, run as the program runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from tests.cli.program import SEG, environment
from tests.conversion.cases import dog, mask_of, odd, odd_picture, odd_text
from toolkit.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`main` with these arguments in an empty folder, in this process: exit code, standard output and error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seg", "convert", *arguments])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        assert "should not be" not in printed.err
        return code, printed.out, printed.err

    monkeypatch.chdir(tmp_path)
    return call


def broken(folder: Path) -> None:
    odd_text(folder, "{")


def no_picture(folder: Path) -> None:
    odd(folder, image="gone.jpg")
    (folder / "odd.jpg").unlink()


def no_data(folder: Path) -> None:
    odd(folder)
    odd_picture(folder, b"")


def few_points(folder: Path) -> None:
    odd(folder, dog(), dog([[1, 2]]))


def resized(folder: Path) -> None:
    odd(folder, imageHeight=99)


def coco(folder: Path) -> None:
    write_json(folder / "odd.json", {"images": []})


def hidden(folder: Path) -> None:
    odd(folder, dog([[5, 5], [6, 6]], "rectangle"), dog([[0, 0], [30, 20]], "rectangle"))


def bomb(folder: Path) -> None:
    data = encoded(picture(), "PNG")
    odd_picture(folder, data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:], "odd.png")
    write_json(folder / "odd.json", content([dog()], "odd.png"))


OUTCOMES: list[tuple[str, Callable[[Path], object], int, tuple[str, ...]]] = [
    ("good", odd, 0, ()),
    ("broken", broken, 1, ("not converted: in/odd.json: line 1 column 2: not valid JSON",)),
    ("empty", lambda f: odd_text(f, ""), 1, ("not converted: in/odd.json: is empty",)),
    ("deep", lambda f: odd_text(f, "[" * 10**6), 1, ("not converted: in/odd.json: not an annotation",)),
    ("no picture", no_picture, 1, ("not converted: in/odd.json: imagePath: there is no image 'gone.jpg'",)),
    ("no picture data", no_data, 1, ("odd.json: in/odd.jpg: is empty (0 bytes)",)),
    ("bomb", bomb, 1, ("in/odd.json: in/odd.png: ",)),
    ("resized", resized, 1, ("in/odd.json: imageHeight, imageWidth: the annotation is for a picture of 36 x 99",)),
    ("few points", few_points, 0, ("warning: in/odd.json: shapes[1].points: a polygon needs 3 points or more, got 1 - shape skipped.",)),
    ("foreign", coco, 0, ()),
    ("hidden", hidden, 0, ("warning: in/odd.json: shapes[0]: the rectangle 'dog' is covered completely",)),
    ("label", lambda f: odd(f, dog(label=None), dog()), 0, ("warning: in/odd.json: shapes[0].label: text is needed, got None",)),
    ("far", lambda f: odd(f, dog([[1, 1], [1e9, 2], [3, 3]]), dog()), 0, ("shapes[0].points[1]: lies more than a million",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "code", "words"), OUTCOMES, ids=[case[0] for case in OUTCOMES])
def test_outcomes(
    tmp_path: Path, run: Run, name: str, make: Callable[[Path], object], code: int, words: tuple[str, ...]
) -> None:
    annotated(tmp_path / "in", "good")
    make(tmp_path / "in")
    assert run("in", "-o", "voc")[0] == code
    again, out, err = run("in", "-o", "voc", "--overwrite")
    assert again == code
    for text in words:
        assert text in err.replace("\\", "/")
    assert (not err or err == err.lstrip()) and len([line for line in err.splitlines() if "odd" in line]) == len(words)
    assert f"{1 + (name not in ('foreign',) and not code)} images with masks in voc" in out
    assert ("1 not converted" in out) == bool(code)
    assert ("1 JSON files were not labelme's" in out) == (name == "foreign")
    report = json.loads((tmp_path / "voc" / "report.json").read_text(encoding="utf-8"))
    assert len(report["failures"]) == code
    assert run("in", "-o", "voc", "--overwrite", "--allow-bad")[0] == 0
    printed = run("in", "-o", "voc", "--overwrite", "--json")
    assert printed[0] == code
    assert json.loads(printed[1])["failures"] == report["failures"]


ALONE: list[tuple[str, Callable[[Path], object], str]] = [
    ("broken", broken, "seg: in/odd.json: line 1 column 2"),
    ("no picture", no_picture, "seg: in/odd.json: imagePath: there is no image 'gone.jpg'"),
    ("resized", resized, "seg: in/odd.json: imageHeight, imageWidth: "),
    ("foreign", coco, "seg: in: 1 JSON files, but none is labelme's"),
    ("nothing", lambda f: f.mkdir(), "seg: in: no labelme annotation (*.json) in it"),
    ("no folder", lambda _: None, "seg: in: there is no such folder"),
    ("a file", lambda f: f.touch(), "seg: in: is a file"),
]


@pytest.mark.parametrize(("name", "make", "text"), ALONE, ids=[case[0] for case in ALONE])
def test_nothing_to_convert(tmp_path: Path, run: Run, name: str, make: Callable[[Path], object], text: str) -> None:
    make(tmp_path / "in")
    code, out, err = run("in", "-o", "voc")
    assert (code, out) == (1, "")
    assert text in err.replace("\\", "/")
    assert not (tmp_path / "voc").exists()


OPTIONS: list[tuple[tuple[str, ...], int, str]] = [
    (("--max-megapixels", "inf"), 2, "max megapixels"),
    (("--max-megapixels", "nan"), 2, "max megapixels"),
    (("--max-megapixels", "0"), 2, "max megapixels"),
    (("--max-megapixels", "many"), 2, "--max-megapixels"),
    (("--encoding", "undefined"), 2, "encoding 'undefined'"),
    (("--encoding", "gb18031"), 2, "encoding 'gb18031' is not known"),
    (("--line-width", "0"), 2, "line width"),
    (("--line-width", "9" * 400), 2, "line width"),
    (("--point-size", "-1"), 2, "point size"),
    (("--order", "size"), 2, "order 'size' is not known"),
    (("--priority", "cat=nan"), 2, "priority"),
    (("--priority", "cat"), 2, "--priority 'cat'"),
    (("--map", "cat"), 2, "--map 'cat'"),
    (("--unknown", "x"), 2, "'x' is not known"),
    (("--unlabelled", "x"), 2, "'x' is not known"),
    (("--image-format", "jpeg"), 2, "Did you mean 'jpg'"),
    (("--labels", "gone.txt"), 1, "gone.txt: there is no such file"),
    (("--labels", "in"), 1, "in: cannot be read"),
    (("--images", "gone"), 1, "gone: there is no such folder"),
    (("--update", "--overwrite"), 2, "contradict"),
    (("-j", "-1"), 2, "-j"),
    (("-o", "in/good.json"), 1, "in/good.json"),
    (("-o", "in/good.json/deep"), 1, "in/good.json/deep"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), OPTIONS, ids=[" ".join(case[0])[:30] for case in OPTIONS])
def test_options_that_cannot_be_used(
    tmp_path: Path, run: Run, arguments: tuple[str, ...], code: int, text: str
) -> None:
    annotated(tmp_path / "in", "good")
    got, out, err = run("in", *arguments)
    assert (got, out) == (code, "")
    assert text in err.replace(os.sep, "/")
    assert not (tmp_path / "datasets").exists()


def test_options_reach_the_conversion(tmp_path: Path, run: Run) -> None:
    annotated(tmp_path / "in", "good")
    odd(tmp_path / "in", shape("Dog"), shape("line", [[0, 3], [35, 3]], "line"))
    (tmp_path / "labels.yaml").write_text("- cat\n- dog: [hund]\n- line\n")
    done = run("in", "-o", "v", "--labels", "labels.yaml", "--map", "Dog=hund", "--line-width", "1", "-j", "2")
    assert done[0] == 0, done
    mask = mask_of(tmp_path / "v", "odd")
    assert [int(mask[3, 0]), int(mask[4, 0]), int(mask[8, 11])] == [3, 0, 2]


def test_equal_warnings_are_shortened_and_the_report_has_all(tmp_path: Path, run: Run) -> None:
    annotated(tmp_path / "in", "good")
    odd(tmp_path / "in", *[dog([[1, 2]])] * 30, dog())
    _, _, err = run("in", "-o", "voc")
    assert err.count("shape skipped") == 5
    assert "warning: and 25 more like it, all in voc/report.json" in err.replace(os.sep, "/")
    assert len(json.loads((tmp_path / "voc" / "report.json").read_text())["remarks"]) == 30


def test_all_unknown_labels_at_once(tmp_path: Path, run: Run) -> None:
    for index in range(8):
        annotated(tmp_path / "in", f"f{index}", label=f"label {index % 4}")
    (tmp_path / "labels.txt").write_text("cat\nLabel 1\n")
    code, _, err = run("in", "-o", "voc", "--labels", "labels.txt")
    assert code == 1
    assert all(f"'label {index}' (2 shapes, first in" in err for index in range(4))
    assert "Did you mean 'Label 1'" in err
    assert not (tmp_path / "voc").exists()


# the real program


def many(folder: Path, count: int) -> Path:
    for index in range(count):
        annotated(folder, f"f{index:03}", seed=index)
    return folder


def slow(folder: Path, count: int) -> Path:
    """Pictures that take some milliseconds each, so that there is time to stop in the middle."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (260, 260, 3), np.uint8)
    (folder / "f000.png").write_bytes(encoded(noise, "PNG"))
    for index in range(count):
        if index:
            os.link(folder / "f000.png", folder / f"f{index:03}.png")
        sized = content([shape()], f"f{index:03}.png", imageHeight=260, imageWidth=260)
        write_json(folder / f"f{index:03}.json", sized)
    return folder


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [SEG, "convert", *arguments], cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment(), **options
    )


def wait_for(folder: Path, count: int) -> None:
    patience = time.monotonic() + 20
    while len(list(folder.glob("SegmentationClass/*.png"))) < count and time.monotonic() < patience:
        time.sleep(0.002)


def contents(root: Path) -> dict[str, bytes]:
    left_out = ("report.json", "records.jsonl", "mask_counts.jsonl")  # hold the paths of their folders, or times
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in left_out]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def children_of(group: int) -> list[int]:
    """Processes of the group that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes of Linux")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_stopped_from_outside_and_finished(tmp_path: Path, name: str) -> None:
    slow(tmp_path / "in", 200)
    process = start(tmp_path, "in", "-o", "voc", "-j", "2", start_new_session=True)
    wait_for(tmp_path / "voc", 20)
    if name == "SIGINT":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=20)
    assert process.returncode == {"SIGKILL": -9, "SIGINT": 130, "SIGTERM": process.returncode}[name], err
    assert "Traceback" not in err
    if name == "SIGINT":
        assert err.splitlines()[-1] == "seg: stopped."
    patience = time.monotonic() + 3
    while children_of(process.pid) and time.monotonic() < patience:
        time.sleep(0.05)
    assert children_of(process.pid) == []
    made = contents(tmp_path / "voc")
    assert made
    from toolkit.conversion.convert import convert

    convert(tmp_path / "in", tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    for file, data in made.items():
        if Path(file).suffix in (".png", ".jpg"):
            assert whole[file] == data
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "voc").glob("SegmentationClass/*.png")}
    assert 0 < len(times) < 200
    convert(tmp_path / "in", tmp_path / "voc", update=True)
    finished = contents(tmp_path / "voc")
    assert finished == whole
    assert sum(path.stat().st_mtime_ns != stamp for path, stamp in times.items()) <= 70


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_full_disk_is_one_line_and_can_be_finished(tmp_path: Path) -> None:
    many(tmp_path / "in", 12)
    odd_picture(tmp_path / "in", encoded(np_noise()), "f005.jpg")
    write_json(tmp_path / "in" / "f005.json", content([dog()], "f005.jpg") | {"imageHeight": None})
    limit = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    limit += "from toolkit.cli.app import main; sys.argv = ['seg', 'convert', 'in', '-o', 'voc']; main()"
    done = subprocess.run(
        [sys.executable, "-c", limit], cwd=tmp_path, capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 1
    assert "f005.jpg: cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in (tmp_path / "voc").rglob("*") if "partial" in path.name]
    from toolkit.conversion.convert import convert

    assert convert(tmp_path / "in", tmp_path / "voc", update=True).images == 12


def np_noise() -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)


@pytest.mark.skipif(sys.platform != "linux", reason="a device of Linux")
@pytest.mark.parametrize("way", ["| head -c 1", ">&-", "2>&-", ">/dev/full"])
def test_nobody_listens(tmp_path: Path, way: str) -> None:
    many(tmp_path / "in", 2)
    command = f"{SEG} convert in -o voc {way}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=environment(), check=False
    )
    assert "Traceback" not in done.stderr
    assert "should not be" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert (tmp_path / "voc" / "report.json").is_file()
    assert not (tmp_path / "voc" / ".unfinished").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to root")
def test_what_may_not_be_read_or_written_is_named(tmp_path: Path, run: Run) -> None:
    many(tmp_path / "in", 3)
    (tmp_path / "in" / "f001.json").chmod(0)
    (tmp_path / "in" / "f002.jpg").chmod(0)
    code, out, err = run("in", "-o", "voc")
    assert code == 1
    assert "in/f001.json: cannot be read: Permission denied" in err
    assert "in/f002.json: in/f002.jpg: cannot be read: Permission denied" in err
    assert "1 images with masks" in out
    (tmp_path / "closed").mkdir(mode=0o555)
    code, _, err = run("in", "-o", "closed/voc")
    assert code == 1
    assert "closed/voc" in err
