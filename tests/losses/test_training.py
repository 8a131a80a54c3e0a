"""Each loss trains a tiny model, from the text of the option to the log."""

from pathlib import Path

import pytest

from tests.datasets import write_voc
from tests.training.tiny import log_of, tiny_config
from toolkit.errors import UsageError
from toolkit.losses import LOSSES
from toolkit.training.run import train


@pytest.mark.parametrize("loss", [*sorted({*LOSSES} - {"bce"}), "focal:gamma=3", "ce:smoothing=0.1"])
def test_the_loss_falls(loss: str, tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc")
    config = tiny_config(dataset, loss=loss, epochs=4, lr=0.01, augment="none", class_weights="sqrt")
    report = train(config, out=tmp_path / "run")
    losses = [float(row["train_loss"]) for row in log_of(report.run.root)]
    assert losses[-1] < losses[0]
    assert f"loss: {loss}" in report.run.config.read_text().replace("'", "")


def test_bce_with_three_classes_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc")
    with pytest.raises(UsageError, match=r"bce is for 2 classes, got 3"):
        train(tiny_config(dataset, loss="bce"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
