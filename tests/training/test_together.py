"""Several processes train one model: as one would, and stopped or killed as one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.program import SEG, environment
from tests.datasets import stems_of, write_voc
from tests.training.tiny import log_of, tiny_config
from toolkit.errors import UsageError
from toolkit.training.run import train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gloo and signals of POSIX")

ROOT = Path(__file__).parents[2]


def dataset_with_a_jpeg(root: Path) -> Path:
    """Seven training and three validation images: neither divides by two."""
    dataset = write_voc(root / "voc", train=7, val=3)
    path = dataset / "JPEGImages" / f"{stems_of(dataset, 'train')[3]}.png"
    with Image.open(path) as image:
        image.save(path.with_suffix(".jpg"), quality=95)
    path.unlink()
    return dataset


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def run_on_nodes(folder: Path, *, torchrun: bool = False) -> list[dict[str, Any]]:
    """What each process of tests.training.together found, on two machines that are both this one.

    torchrun   start it, which takes two more processes with torch in them; else what it does: setting variables
    """
    dataset, out = dataset_with_a_jpeg(folder), folder / "out"
    out.mkdir()
    port = free_port()
    meeting = ("--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port))
    shared = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m"),
                *(("torch.distributed.run", *meeting, "--node-rank", str(node), "-m") if torchrun else ()),
                *("tests.training.together", str(dataset), str(out)),
            ],
            cwd=ROOT,
            env={
                **environment(),
                "OMP_NUM_THREADS": "1",
                **({} if torchrun else {**shared, "MASTER_PORT": str(port), "RANK": str(node)}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for node in range(2)
    ]
    said = [process.communicate(timeout=200)[0] for process in started]
    # torchrun's own farewell between two machines fails now and then when they are busy: what counts is what they did
    found = [out / f"rank-{rank}.json" for rank in range(2)]
    assert all(path.is_file() for path in found), "\n".join(said)
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """On two machines that are one; `seg train --device`, below, is the case of one machine."""
    return run_on_nodes(tmp_path_factory.mktemp("together"))


@pytest.mark.slow  # the same again, but for who sets the variables
def test_torchrun_starts_them_alike(together: list[dict[str, Any]], tmp_path: Path) -> None:
    main, other = run_on_nodes(tmp_path, torchrun=True)
    assert main["resumed"] == main["whole"] == together[0]["whole"]
    assert other["stopped"] == together[1]["stopped"]


def test_stopped_and_resumed_ends_with_the_same_bytes(together: list[dict[str, Any]]) -> None:
    main, other = together
    assert main["stopped"].startswith("Interrupted 130: stopped in epoch 2; nothing is lost.")
    assert other["stopped"].startswith("StoppedWithOthers 130")
    assert main["resumed"] == main["whole"]


def test_two_score_a_model_exactly_as_one_does(models: None, together: list[dict[str, Any]], tmp_path: Path) -> None:
    """From whole counts: every digit is the same, although three images do not divide by two."""
    dataset = dataset_with_a_jpeg(tmp_path)
    alone = train(tiny_config(dataset, model="plain", width=None, epochs=1, lr=0.0), out=tmp_path / "still")
    (ours,), (theirs,) = together[0]["still"], log_of(alone.run.root)
    for column, value in theirs.items():
        if column.startswith(("iou", "miou", "pixel", "mean", "fw", "val_loss")):
            assert ours[column] == value, column


def test_two_learn_about_what_one_learns(together: list[dict[str, Any]], tmp_path: Path) -> None:
    """BatchNorm sees half of the images at a time, so not exactly."""
    dataset = dataset_with_a_jpeg(tmp_path)
    chosen = tiny_config(dataset, epochs=3, batch=4, lr=0.01, ema=0.9, freeze_epochs=1)
    alone = log_of(train(chosen, out=tmp_path / "alone").run.root)
    for ours, theirs in zip(together[0]["whole"]["log"], alone, strict=True):
        assert float(ours["train_loss"]) == pytest.approx(float(theirs["train_loss"]), rel=0.05)
        assert ours["lr"] == theirs["lr"]


def test_picture_that_one_cannot_read_ends_all_and_is_named_once(together: list[dict[str, Any]]) -> None:
    said = [found["bad"] for found in together]
    assert sum(line.startswith("ImageError 1: ") and "pic_3.jpg" in line for line in said) == 1
    assert sum(line.startswith("StoppedWithOthers 1: ") for line in said) == 1


def test_picture_that_any_of_them_skips_is_told_once_by_the_main_one(together: list[dict[str, Any]]) -> None:
    main, other = ([line for line in found["skipped"] if "pic_3.jpg" in line] for found in together)
    assert len(main) == 1 and main[0].startswith("skipped: ") and not other


def seg_train(folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [SEG, "train", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "OMP_NUM_THREADS": "1"},
    )


def test_seg_starts_a_process_for_each_device_and_stops_them_together(tmp_path: Path) -> None:
    dataset_with_a_jpeg(tmp_path)
    (tmp_path / "typer.py").write_text("raise SystemExit('a file here took the place of a library')", encoding="utf-8")
    options = ("--model", "unet", "--width", "4", "--size", "32", "--batch", "4", "--epochs", "4000", "--out", "run")
    process = seg_train(tmp_path, "voc", *options, "--device", "cpu,cpu")
    log = tmp_path / "run" / "log.csv"
    patience = time.monotonic() + 90
    while not log.exists() and time.monotonic() < patience and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.count("nothing is lost. Go on with: seg train --resume run") == 1
    assert "Traceback" not in said and "another process" not in said
    assert not list((tmp_path / "run").rglob("*.partial"))


def test_several_devices_need_their_processes(tmp_path: Path) -> None:
    dataset = dataset_with_a_jpeg(tmp_path)
    with pytest.raises(UsageError, match="device: 'cpu,cpu' needs a process for each"):
        train(tiny_config(dataset, device="cpu,cpu"), out=tmp_path / "run")
    assert shutil.which("torchrun", path=str(Path(sys.executable).parent))
