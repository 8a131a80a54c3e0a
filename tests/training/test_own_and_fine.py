"""Training with a model of one's own, and with masks finer than the image: from the first step to predictions."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import toolkit
from tests.datasets import write_voc
from tests.training.tiny import stop_when_asked, tiny_config
from toolkit.errors import CheckpointError, Interrupted, UsageError
from toolkit.training.run import train

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, num_classes, 1))

    def forward(self, images):
        return self.layers(images)
"""


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mynet_of_test", raising=False)
    (tmp_path / "mynet_of_test.py").write_text(NET, encoding="utf-8")
    return write_voc(tmp_path / "voc")


def test_a_model_of_ones_own_is_trained_resumed_and_predicts_once_it_is_allowed(dataset: Path) -> None:
    config = tiny_config(dataset, model="py:mynet_of_test:Net", width=None)
    whole = train(config, out="whole")
    with pytest.raises(Interrupted):
        train(config, out="run", should_stop=stop_when_asked(3))
    with pytest.raises(CheckpointError, match=r"py:mynet_of_test:Net.*--allow-code"):
        train(resume="run")
    again = train(resume="run", allow_code=True)
    assert all(torch.equal(v, load_file(again.last)[k]) for k, v in load_file(whole.last).items())

    picture = next((dataset / "JPEGImages").iterdir())
    with pytest.raises(CheckpointError, match=r"best\.safetensors: its model is code of your own.*--allow-code"):
        toolkit.load(whole.best)
    prediction = toolkit.load(whole.best, allow_code=True).predict(picture)
    assert prediction.mask.shape == prediction.image.shape[:2]


def test_masks_finer_than_the_image_are_learnt_and_predicted(dataset: Path) -> None:
    config = tiny_config(dataset, upscale=3)
    whole = train(config, out="whole")
    with pytest.raises(Interrupted):
        train(config, out="run", should_stop=stop_when_asked(3))
    again = train(resume="run")
    assert all(torch.equal(v, load_file(again.last)[k]) for k, v in load_file(whole.last).items())

    predictor = toolkit.load(whole.best)
    prediction = predictor.predict(next((dataset / "JPEGImages").iterdir()))
    assert prediction.mask.shape == prediction.image.shape[:2]
    assert predictor.preprocess.upscale == 3
    assert predictor.engine.logits(torch.zeros(1, 64, 32, 3, dtype=torch.uint8)).shape[2:] == (192, 96)


def test_models_without_a_finer_mask_say_so(dataset: Path) -> None:
    with pytest.raises(UsageError, match="upscale: vgg16-unet has masks of the image's size"):
        train(tiny_config(dataset, model="vgg16-unet", width=None, upscale=2), out="run")
