"""What goes wrong while training: pictures that cannot be read, losses without a value, too little memory, odd data."""

import math
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.datasets import mask_of, stems_of, write_list, write_mask, write_voc
from tests.training.models import Hungry, Poisoned
from tests.training.tiny import Listener, log_of, stop_when_asked, tiny_config
from toolkit.errors import CheckpointError, DatasetError, ImageError, Interrupted, RunError, SegError
from toolkit.runs.config import TrainConfig
from toolkit.training.memory import most
from toolkit.training.run import TrainReport, train
from toolkit.training.setbacks import BAD_STEPS


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc", train=6, val=2)


def config(dataset: Path, model: str = "plain", **changes: Any) -> TrainConfig:
    return tiny_config(dataset, model=model, width=None, lr=0.01, freeze_epochs=0, **changes)


def ruin(dataset: Path, stem: str) -> Path:
    """A JPEG whose header is right and whose end is missing: it is found when it is decoded, not before."""
    path = dataset / "JPEGImages" / f"{stem}.png"
    with Image.open(path) as image:
        image.save(path.with_suffix(".jpg"))
    path.unlink()
    data = path.with_suffix(".jpg").read_bytes()
    path.with_suffix(".jpg").write_bytes(data[: len(data) * 2 // 3])
    return path.with_suffix(".jpg")


def finite(report: TrainReport) -> bool:
    return all(value.isfinite().all() for value in load_file(report.last).values())


# pictures


@pytest.mark.parametrize("side", ["train", "val"])
@pytest.mark.parametrize("workers", [0, 2])
def test_picture_that_cannot_be_read_stops_the_run_with_its_name_and_the_way_out(
    dataset: Path, tmp_path: Path, side: str, workers: int
) -> None:
    path = ruin(dataset, stems_of(dataset, side)[1])
    with pytest.raises(ImageError, match=re.escape(str(path)) + ".*--on-bad-image skip"):
        train(tiny_config(dataset, workers=workers), out=tmp_path / "run")


def test_it_can_be_mended_and_the_run_goes_on(dataset: Path, tmp_path: Path) -> None:
    whole = train(tiny_config(dataset), out=tmp_path / "whole")
    path = dataset / "JPEGImages" / "pic_3.png"
    good = path.read_bytes()
    bad = ruin(dataset, "pic_3")
    with pytest.raises(ImageError):
        train(tiny_config(dataset), out=tmp_path / "run")
    bad.unlink()
    path.write_bytes(good)
    assert train(resume=tmp_path / "run").last.read_bytes() == whole.last.read_bytes()


def test_pictures_that_cannot_be_read_are_skipped_if_asked_and_each_is_named_once(
    dataset: Path, tmp_path: Path
) -> None:
    bad = [ruin(dataset, "pic_1"), ruin(dataset, "pic_7")]
    (dataset / "JPEGImages" / "pic_2.png").unlink()
    broken_mask = dataset / "SegmentationClass" / "pic_4.png"
    broken_mask.write_bytes(b"not a mask")
    listener = Listener()
    report = train(
        tiny_config(dataset, on_bad_image="skip", epochs=3, workers=2), out=tmp_path / "run", progress=listener
    )
    skipped = [line for line in listener.warned if line.startswith("skipped: ")]
    assert len(skipped) == 4
    for name in (str(bad[0]), str(bad[1]), "pic_2", str(broken_mask)):
        assert sum(name in line for line in skipped) == 1, name
    assert finite(report)
    truth = mask_of(dataset, "pic_6")  # the validation image that is left
    present = {int(k) for k in np.unique(truth[truth != 255])}
    assert {k for k, recall in enumerate(report.scores.recall) if not math.isnan(recall)} == present


def test_skipping_learns_what_is_learnt_without_the_picture(models: None, dataset: Path, tmp_path: Path) -> None:
    """The mean over a step is over the pixels that are there."""
    whole = config(dataset, batch=6, epochs=1, augment="none", on_bad_image="skip", optimizer="sgd", warmup_epochs=0.0)
    ruin(dataset, "pic_5")
    skipped = load_file(train(whole, out=tmp_path / "skipped").last)
    write_list(dataset, "train", [stem for stem in stems_of(dataset, "train") if stem != "pic_5"])
    without = load_file(train(whole, out=tmp_path / "without").last)
    for name, value in without.items():
        torch.testing.assert_close(skipped[name], value, rtol=1e-4, atol=1e-7)


def test_nothing_left_to_learn_from(dataset: Path, tmp_path: Path) -> None:
    for stem in stems_of(dataset, "train"):
        ruin(dataset, stem)
    with pytest.raises(RunError, match="none of the 6 training images could be read"):
        train(tiny_config(dataset, on_bad_image="skip"), out=tmp_path / "run")


def test_mask_that_changed_after_the_check_is_named(dataset: Path, tmp_path: Path) -> None:
    mask = mask_of(dataset, "pic_2")

    def spoil() -> bool:
        write_mask(dataset, "pic_2", np.full_like(mask, 9))
        return False

    with pytest.raises(SegError, match=r"pic_2: its mask holds the value 9, but there are 3 classes"):
        train(tiny_config(dataset, batch=1), out=tmp_path / "run", should_stop=spoil)


# losses


@pytest.fixture
def poison(models: None, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(Poisoned, "passes", 0)
    return monkeypatch


def test_step_without_a_finite_loss_is_left_out_and_said(
    poison: pytest.MonkeyPatch, dataset: Path, tmp_path: Path
) -> None:
    poison.setattr(Poisoned, "is_bad", staticmethod(lambda number: number in (1, 2, 5)))
    listener = Listener()
    report = train(config(dataset, "poisoned", epochs=3), out=tmp_path / "run", progress=listener)
    said = [line for line in listener.warned if "the step was left out" in line]
    assert all(re.search(r": the loss is nan at images pic_\d, pic_\d; the step was left out", line) for line in said)
    assert [line.split(":")[0] for line in said] == ["epoch 1, step 2", "epoch 2, step 3"], "once for each row of them"
    assert finite(report)
    assert all(math.isfinite(float(row["train_loss"])) for row in log_of(report.run.root))
    assert torch.load(report.run.state, weights_only=True)["rewinds"] == 0


def test_after_many_in_a_row_the_run_goes_back_and_learns_slower(
    poison: pytest.MonkeyPatch, dataset: Path, tmp_path: Path
) -> None:
    """Three steps an epoch: epoch 1 is good, then eight bad ones, then all is well again."""
    poison.setattr(Poisoned, "is_bad", staticmethod(lambda number: 4 <= number < 4 + BAD_STEPS))
    listener = Listener()
    chosen = config(dataset, "poisoned", epochs=8, schedule="constant", warmup_epochs=0.0)
    report = train(chosen, out=tmp_path / "run", progress=listener)
    assert report.epochs == 8 and finite(report)
    assert sum("half the learning rate, 5.0e-03" in line for line in listener.warned) == 1
    rates = [float(row["lr"]) for row in log_of(report.run.root)]
    assert rates[0] == 0.01 and rates[-1] == 0.005
    assert [row["epoch"] for row in log_of(report.run.root)] == [str(n) for n in range(1, 9)]


def test_a_loss_that_never_gets_finite_ends_the_run_with_advice(
    poison: pytest.MonkeyPatch, dataset: Path, tmp_path: Path
) -> None:
    poison.setattr(Poisoned, "is_bad", staticmethod(lambda number: True))
    with pytest.raises(RunError, match=r"8 times lower.*lower --lr.*--clip 1.*--no-amp") as caught:
        train(config(dataset, "poisoned", epochs=50), out=tmp_path / "run")
    assert "images pic_" in str(caught.value)
    assert Poisoned.passes == 4 * BAD_STEPS


def test_a_learning_rate_that_explodes_ends_the_run_with_advice(dataset: Path, tmp_path: Path) -> None:
    """The real thing, BatchNorm statistics included: what is saved stays finite."""
    chosen = tiny_config(dataset, optimizer="sgd", lr=1e30, warmup_epochs=0.0, epochs=20)
    with pytest.raises(RunError, match="lower --lr"):
        train(chosen, out=tmp_path / "run")
    saved = torch.load(tmp_path / "run" / "weights" / "state.pt", weights_only=True)
    assert all(value.isfinite().all() for value in saved["model"].values())


def test_bad_steps_are_remembered_over_a_stop(poison: pytest.MonkeyPatch, dataset: Path, tmp_path: Path) -> None:
    poison.setattr(Poisoned, "is_bad", staticmethod(lambda number: True))
    with pytest.raises(Interrupted):
        train(config(dataset, "poisoned", epochs=50), out=tmp_path / "run", should_stop=stop_when_asked(5))
    with pytest.raises(RunError, match="8 times lower"):
        train(resume=tmp_path / "run")
    assert Poisoned.passes == 4 * BAD_STEPS


def test_going_back_skips_epochs_that_ended_badly_and_does_not_depend_on_saves(
    poison: pytest.MonkeyPatch, dataset: Path, tmp_path: Path
) -> None:
    """Three steps an epoch; bad from the second step of the second epoch on, over several ends of epochs."""
    poison.setattr(Poisoned, "is_bad", staticmethod(lambda number: 4 <= number < 4 + BAD_STEPS))
    outcomes = []
    for name, changes in (("whole", {}), ("saved", {"save_minutes": 0.0}), ("stopped", {})):
        poison.setattr(Poisoned, "passes", 0)
        listener, out = Listener(), tmp_path / name
        chosen = config(dataset, "poisoned", epochs=6, **changes)
        if name == "stopped":
            with pytest.raises(Interrupted):
                train(chosen, out=out, should_stop=stop_when_asked(10), progress=listener)
            report = train(resume=out, progress=listener)
        else:
            report = train(chosen, out=out, progress=listener)
        assert sum("Back to the last good state (epoch 2, step 0)" in line for line in listener.warned) == 1
        outcomes.append({key: value.numpy().tobytes() for key, value in load_file(report.last).items()})
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_model_without_finite_logits_is_never_the_best(dataset: Path, tmp_path: Path) -> None:
    chosen = tiny_config(dataset, lr=1e30, optimizer="adam", warmup_epochs=0.0, batch=6, epochs=2, schedule="constant")
    report = train(chosen, out=tmp_path / "run")
    assert [row["val_loss"] for row in log_of(report.run.root)] == ["nan", "nan"]
    assert torch.load(report.run.state, weights_only=True)["best_score"] == -0.5


# memory


@pytest.mark.parametrize("fitting", [1, 2, 3])
def test_too_little_memory_divides_the_step_and_changes_nothing_else(
    models: None, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitting: int
) -> None:
    whole = load_file(train(config(dataset, batch=6, optimizer="sgd", augment="none"), out=tmp_path / "whole").last)
    monkeypatch.setattr(Hungry, "largest", fitting)
    listener = Listener()
    chosen = config(dataset, "hungry", batch=6, optimizer="sgd", augment="none")
    report = train(chosen, out=tmp_path / "run", progress=listener)
    taken = [6, 3] if fitting == 3 else [6, 3, 2] if fitting == 2 else [6, 3, 2, 1]
    said = [line for line in listener.warned if line.startswith("out of memory with")]
    assert [int(line.split()[4]) for line in said] == taken[:-1]
    assert all("A step still learns from 6." in line for line in said)
    for name, value in load_file(report.last).items():  # also with masks of which different parts are ignored
        torch.testing.assert_close(value, whole[name], rtol=1e-4, atol=1e-6)
    assert torch.load(report.run.state, weights_only=True)["micro"] == taken[-1]


def test_resumed_it_keeps_to_what_fits(
    models: None, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hungry, "largest", 2)
    chosen = config(dataset, "hungry", batch=4)
    whole = train(chosen, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(chosen, out=tmp_path / "run", should_stop=stop_when_asked(2))
    listener = Listener()
    assert train(resume=tmp_path / "run", progress=listener).last.read_bytes() == whole.last.read_bytes()
    assert not any("out of memory" in line for line in listener.warned)


def test_memory_for_not_even_one_image(
    models: None, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hungry, "largest", 0)
    with pytest.raises(RunError, match=r"out of memory with one image at a time\. Use a smaller --size \(now 32\)"):
        train(config(dataset, "hungry"), out=tmp_path / "run")


@pytest.mark.parametrize("fitting", range(12))
def test_most_finds_the_largest_that_fits_by_trying_few(fitting: int) -> None:
    tried: list[int] = []

    def fits(n: int) -> bool:
        tried.append(n)
        return n <= fitting

    assert most(fits, 10) == min(fitting, 10)
    assert len(tried) <= 7 and len(set(tried)) == len(tried) and max(tried) <= 10


def test_batch_auto_is_settled_written_and_changes_no_weight(dataset: Path, tmp_path: Path) -> None:
    write_voc(dataset, train=20, val=2)
    listener = Listener()
    report = train(tiny_config(dataset, batch="auto"), out=tmp_path / "run", progress=listener)
    assert TrainConfig.read(report.run.config).batch == 2, "an eighth of the images"
    assert any(line.startswith("Batch: 2, found by trying") for line in listener.said)
    assert report.last.read_bytes() == train(tiny_config(dataset, batch=2), out=tmp_path / "two").last.read_bytes()


# data


def test_one_training_image_in_a_larger_batch(dataset: Path, tmp_path: Path) -> None:
    write_list(dataset, "train", ["pic_0"])
    report = train(tiny_config(dataset, batch=8, epochs=3), out=tmp_path / "run")
    assert report.epochs == 3 and finite(report)


def test_batch_of_nothing_but_ignore_changes_no_weight(models: None, dataset: Path, tmp_path: Path) -> None:
    chosen = config(dataset, batch=1, epochs=1, schedule="constant", optimizer="sgd", warmup_epochs=0.0)
    for stem in stems_of(dataset, "train")[1:]:
        write_mask(dataset, stem, np.full_like(mask_of(dataset, stem), 255))
    some = train(chosen, out=tmp_path / "some")
    assert finite(some)
    assert math.isfinite(float(log_of(some.run.root)[0]["train_loss"]))


def test_class_that_is_not_in_the_validation_images(dataset: Path, tmp_path: Path) -> None:
    for stem in stems_of(dataset, "val"):
        mask = mask_of(dataset, stem).copy()
        mask[mask == 2] = 0
        write_mask(dataset, stem, mask)
    report = train(tiny_config(dataset, class_weights="1,1,0"), out=tmp_path / "run")
    assert math.isnan(report.scores.recall[2]) and math.isfinite(report.scores.miou)


def test_nothing_to_score_is_said_before_the_first_step(dataset: Path, tmp_path: Path) -> None:
    for stem in stems_of(dataset, "val"):
        write_mask(dataset, stem, np.full_like(mask_of(dataset, stem), 255))
    listener = Listener()
    train(tiny_config(dataset, epochs=1), out=tmp_path / "run", progress=listener)
    assert any("val.txt: no pixel of the validation masks can be scored" in line for line in listener.warned)


def test_a_mask_that_breaks_while_images_are_skipped_does_not_end_the_run(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tiny_config(dataset, on_bad_image="skip"), out=tmp_path / "run", should_stop=stop_when_asked(2))
    (dataset / "SegmentationClass" / "pic_1.png").write_bytes(b"no mask any more")
    listener = Listener()
    assert train(resume=tmp_path / "run", progress=listener).epochs == 2
    assert any("pic_1.png" in line for line in listener.warned)


def test_options_that_do_not_fit_the_state_are_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tiny_config(dataset), out=tmp_path / "run", should_stop=stop_when_asked(2))
    path = tmp_path / "run" / "config.yaml"
    kept = path.read_text(encoding="utf-8")
    for old, new in (("width: 4", "width: 8"), ("optimizer: adam", "optimizer: sgd")):
        path.write_text(kept.replace(old, new), encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"state\.pt: does not fit the options in .*config\.yaml"):
            train(resume=tmp_path / "run")
    path.write_text(kept, encoding="utf-8")
    (dataset.parent / "elsewhere").mkdir()
    dataset.rename(dataset.parent / "elsewhere" / "voc")
    with pytest.raises(DatasetError, match=r"voc: there is no such folder, which .*config\.yaml names as dataset"):
        train(resume=tmp_path / "run")


def test_a_run_is_trained_by_one_process_at_a_time(dataset: Path, tmp_path: Path) -> None:
    refusals: list[str] = []

    def another() -> bool:
        with pytest.raises(SegError) as caught:
            train(resume=tmp_path / "run")
        refusals.append(str(caught.value))
        return False

    train(tiny_config(dataset, epochs=1, batch=6), out=tmp_path / "run", should_stop=another)
    assert refusals and all("run: another process trains it at this moment" in line for line in refusals)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass"])
def test_a_pipe_in_place_of_a_file_is_skipped_like_any_other(dataset: Path, tmp_path: Path, folder: str) -> None:
    path = dataset / folder / "pic_1.png"
    path.unlink()
    os.mkfifo(path)
    listener = Listener()
    train(tiny_config(dataset, epochs=1, on_bad_image="skip"), out=tmp_path / "run", progress=listener)
    assert any(f"{path}: is no ordinary file" in line for line in listener.warned)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_loader_process_that_is_killed_ends_the_run_with_advice(dataset: Path, tmp_path: Path) -> None:
    def kill_one() -> bool:
        children = multiprocessing.active_children()
        if children and children[0].pid is not None:
            os.kill(children[0].pid, signal.SIGKILL)
            time.sleep(0.3)
        return False

    with pytest.raises(RunError, match=r"a process that loads images was killed.* fewer --workers \(now 2\)"):
        train(tiny_config(dataset, workers=2, batch=1, epochs=9), out=tmp_path / "run", should_stop=kill_one)
