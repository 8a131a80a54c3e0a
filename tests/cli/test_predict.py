"""`seg predict` as it is typed: what it says, its exit codes, Ctrl-C, several processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.program import SEG, environment
from tests.datasets import paint, scene
from tests.prediction.films import write_film
from tests.runs.checkpoints import saved_checkpoint
from toolkit.cli import stopping
from toolkit.cli.app import main
from toolkit.cli.panels import GroupedCommand
from toolkit.prediction.kinds import known_kinds


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and three pictures."""
    monkeypatch.chdir(tmp_path)
    saved_checkpoint(Path("best.safetensors"))
    pictures(3)
    return tmp_path


def pictures(count: int) -> None:
    Path("photos").mkdir(exist_ok=True)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        Image.fromarray(paint(scene((40, 60), 3, rng), rng)).save(f"photos/{seed:03d}.png")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., list[str]]]:
    """Run `seg predict` in this process: [standard output, standard error]; the exit code is checked."""

    def run(*arguments: str, code: int = 0) -> list[str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["seg", "predict", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        assert (caught.value.code or 0) == code, said.err
        assert "Traceback" not in said.err
        return [said.out.replace(os.sep, "/"), said.err.replace(os.sep, "/")]

    before = [(name, signal.getsignal(name)) for name in (signal.SIGINT, signal.SIGTERM)]
    yield run
    for name, handler in before:
        signal.signal(name, handler)


Typed = Callable[..., list[str]]
USUAL = ("photos", "--weights", "best.safetensors", "--device", "cpu", "--precision", "fp32")


def test_last_words_say_what_was_predicted_where_it_is_and_what_comes_next(typed: Typed) -> None:
    said, _ = typed(*USUAL)
    assert "3 pictures predicted with best.safetensors (torch, fp32)" in said
    assert "_background_" in said and "% of all pixels" in said
    assert "results: runs/predict-1/mask, " in said
    for kind in ("mask", "ids", "overlay", "labelme"):
        assert len(list(Path("runs/predict-1", kind).iterdir())) == 3
    assert "seg annotate runs/predict-1" in said
    said, _ = typed(*USUAL, "--out", "b", "--beside", "--save", "labelme,counts", "--pixel-size", "0.5")
    assert "seg annotate photos" in said and "b/counts.csv" in said and Path("photos/001.json").is_file()
    assert "counts.json, labelme files next to the pictures\n" in said
    said, _ = typed(*USUAL, "--out", "c", "--beside", "--save", "labelme")
    assert "nothing was left to do\n" in said and "finished before" not in said
    assert "3 labelme files were there and stay as they are: photos/000.json, photos/001.json, photos/002.json" in said
    Path("photos/000.json").unlink()
    pictures(5)
    said, _ = typed("--out", "c", "--beside", "--continue")
    assert "photos/002.json" in said and "seg annotate photos" in said
    assert "2 of 5 were finished before" in said and "results: labelme files next to the pictures\n" in said
    said, _ = typed("--out", "c", "--beside", "--continue")
    assert "nothing was left to do: 5 of 5 were finished before" in said
    said, _ = typed(*USUAL, "--out", "o", "--beside", "--save", "labelme", "--overwrite")
    assert "replaced" not in said
    Path("photos/001.json").write_text("by hand", encoding="utf-8")
    said, _ = typed(*USUAL, "--out", "p", "--beside", "--save", "labelme", "--overwrite")
    assert "1 labelme file that somebody had made or looked at was replaced: photos/001.json\n" in said
    said, _ = typed(*USUAL, "--out", "n", "--beside", "--save", "labelme", "--renew")
    assert "5 predictions that nobody had looked at were renewed\n" in said
    said, _ = typed("photos/000.png", *USUAL[1:], "--out", "d", "--beside", "--save", "labelme")
    assert "1 labelme file was there and stays as it is: photos/000.json\n" in said
    said, _ = typed(*USUAL, "--out", "e", "--beside", "--save", "labelme")
    assert "photos/002.json and 2 more" in said


def test_the_folder_to_annotate_is_that_of_the_pictures_however_they_were_named(typed: Typed) -> None:
    beside = ("--beside", "--save", "labelme")
    Path("lists").mkdir()
    Path("lists/val.txt").write_text("photos/000.png\nphotos/001.png\n", encoding="utf-8")
    for number, source in enumerate(("@lists/val.txt", "lists/val.txt", "photos/*.png")):
        said, _ = typed(source, *USUAL[1:], "--out", f"out{number}", *beside)
        assert said.endswith("seg annotate photos\n")
    said, _ = typed(*USUAL[1:], "--out", "out0", *beside, "--continue")
    assert said.endswith("seg annotate photos\n")


def test_bad_pictures_are_named_and_the_exit_code_tells(typed: Typed) -> None:
    Path("photos/bad.png").write_bytes(b"no picture")
    said, warned = typed(*USUAL, "--save", "ids", "--json", code=1)
    report = json.loads(said)
    assert report["images"] == 3 and [each["place"] for each in report["failures"]] == ["photos/bad.png"]
    assert "photos/bad.png: not an image" in warned
    typed(*USUAL, "--save", "ids", "--out", "b", "--allow-bad")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "name what to predict"),
        (("absent",), 1, "absent: there is no such file"),
        (("photos", "--save", "mask,vidoe"), 2, "Did you mean 'video'"),
        (("photos", "--size", "64", "--scale", "1"), 2, "Give one of them"),
        (("photos", "--tta", "flip"), 2, "Did you mean 'flips'"),
        (("photos", "--device", "cpu,foo"), 2, "device: 'foo' in 'cpu,foo' is none"),
        (("-", "--device", "cpu,"), 2, "device: '' in 'cpu,' is none"),
        (("",), 2, "an empty text names nothing"),
        (("photos", "--engine", "tensorrt"), 2, "engine 'tensorrt' is not known"),
        (("photos", "--precision", "half"), 2, "precision 'half' is not known"),
        (("photos", "--opacity", "2"), 2, "opacity: 0 to 1"),
        (("photos", "--save", "counts", "--pixel-size", "0"), 2, "pixel-size: 1e-12 to"),
        (("photos", "--save", "mask", "--min-area", "3"), 2, "min-area: is for labelme"),
        (("https://example.org/a.png?x=1",), 1, "is an address; only files are read. Download it first"),
        (("photos", "--shard", "3/2", "--out", "out"), 2, "shard: '3/2'"),
        (("photos", "--overwrite"), 2, "--beside"),
        (("photos", "--renew"), 2, "--beside"),
        (("photos", "--every", "3"), 2, "is for films"),
        (("photos", "--out", "photos"), 2, "is not an empty folder"),
        (("photos", "--weights", "absent.onnx"), 1, "absent.onnx: there is no such checkpoint"),
        (("--continue",), 1, "nothing in runs to go on with"),
    ],
)
def test_what_can_be_refused_is_refused_before_torch_is_loaded(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "toolkit.prediction.run", None)  # importing it would fail
    weights = () if "--weights" in arguments else ("--weights", "best.safetensors")
    _, error = typed(*arguments, *weights, code=code)
    assert said in error and len(error.strip().splitlines()) == 1


def test_a_film_that_breaks_off_is_said_to_be_done_in_part(typed: Typed) -> None:
    path = write_film(Path("clip.avi"), 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said, warned = typed("clip.avi", *USUAL[1:], code=1)
    assert ", 1 film only in part\n" in said and "ends after frame" in warned


def test_help_shows_every_kind_and_its_options_in_groups() -> None:
    import typer

    from toolkit.cli.predict import predict

    app = typer.Typer(rich_markup_mode=None)
    app.command("predict", cls=GroupedCommand)(predict)
    app.command("other")(lambda: None)
    context = typer.main.get_command(app)
    command = context.get_command(typer.Context(context), "predict")  # type: ignore[attr-defined]
    text = command.get_help(typer.Context(command, info_name="predict"))
    groups = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Arguments:", "Model:", "What the network sees:", "Output:", "Which part of the work:", "Other:"]
    assert all(kind in text for kind in known_kinds())


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(folder: Path, typed: Typed) -> None:
    pictures(300)
    process = subprocess.Popen(
        [SEG, "predict", *USUAL, "--save", "ids,counts"],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    journal, patience = folder / "runs/predict-1/predictions.jsonl", time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < patience and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopping when the pictures in work are finished" in said
    assert "of 300 are finished, in runs/predict-1. Go on with the same command and --continue." in said
    assert "Traceback" not in said
    done = len(list((folder / "runs/predict-1/ids").iterdir()))
    assert 0 < done < 300 and len(journal.read_text(encoding="ascii").splitlines()) == done
    said, _ = typed(*USUAL, "--save", "ids,counts", "--continue")
    assert "300 pictures predicted" in said and len(list((folder / "runs/predict-1/ids").iterdir())) == 300


def test_a_process_for_each_device_and_one_result(folder: Path) -> None:
    """Also a list on standard input, which is read once."""
    names = "".join(f"photos/{name}\n" for name in ("000.png", "001.png", "002.png", "absent.png"))
    done = subprocess.run(
        [SEG, "predict", "-", *USUAL[1:3], "--device", "cpu,cpu", "--out", "out", "--save", "ids,coco", "--json"],
        cwd=folder,
        input=names,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert (report["images"], len(report["failures"])) == (3, 1), "one of them speaks, for both"
    assert done.stderr.count("absent.png") == 1 and "Traceback" not in done.stderr
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "coco.json", "ids", "manifest.json", "predictions.jsonl",
    ]  # fmt: skip
    assert len(list((folder / "out/ids").iterdir())) == 3


def test_a_second_ctrl_c_stops_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    caught: dict[int, Callable[[int, object], None]] = {}
    monkeypatch.setattr(signal, "signal", caught.__setitem__)
    should_stop = stopping.stop_requests("finishing")
    assert not caught, "nothing is caught before there is something to finish"
    assert not should_stop()
    caught[signal.SIGINT](signal.SIGINT, None)
    assert should_stop() and capsys.readouterr().err == "finishing\n"
    with pytest.raises(KeyboardInterrupt):
        caught[signal.SIGTERM](signal.SIGTERM, None)


def test_folders_with_blanks_are_quoted_in_the_next_command(typed: Typed) -> None:
    said, _ = typed(*USUAL, "--out", "my out", "--save", "labelme")
    assert re.search("seg annotate ['\"]my out['\"]", said)
