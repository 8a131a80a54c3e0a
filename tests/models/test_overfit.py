"""Every model is known to learn: four real pictures by heart, from random weights. Slow: `pytest -m slow`."""

from pathlib import Path

import pytest
import torch

import toolkit
from toolkit.data.dataset import VocSamples
from toolkit.data.preprocess import Preprocess
from toolkit.metrics import Confusion
from toolkit.models import MODELS
from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model
from toolkit.training.optim import default_lr
from toolkit.voc.folder import VocFolder

ROOT = Path(__file__).parents[2]
STEPS, BETWEEN = 300, 10
SIZE = 64
WIDTHS = {"unet-paper": 16}  # it computes 252 x 252 pixels for 64 x 64
FC = 256  # of the paper's 4096 channels, which are 100 of FCN's 134 million parameters
SIZES = {"fcn32s": 160}  # of 64 pixels it has 2 x 2 scores


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.Tensor, torch.Tensor]:
    """float (4, 3, 64, 64) and int64 (4, 64, 64): two pictures of coins, two of tissue; three classes."""
    out = tmp_path_factory.mktemp("sample") / "voc"
    toolkit.convert(ROOT / "datasets" / "coins", out)
    samples = VocSamples(VocFolder(out), ("coins_01", "coins_06", "tissue_02", "tissue_05"))
    preprocess = Preprocess(size=SIZE, stride=SIZE)
    pairs = [samples[index] for index in range(len(samples))]
    images = torch.stack([preprocess.apply(pair.image) for pair in pairs])
    targets = torch.stack([torch.from_numpy(preprocess.apply_mask(pair.mask)) for pair in pairs]).long()
    assert set(targets[targets != 255].tolist()) == {0, 1, 2}
    return images, targets


def enlarged(images: torch.Tensor, targets: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    if size == SIZE:
        return images, targets
    fine = torch.nn.functional.interpolate(targets[:, None].float(), size=size, mode="nearest")[:, 0].long()
    return torch.nn.functional.interpolate(images, size=size, mode="bilinear"), fine


def miou(model: SegmentationModel, images: torch.Tensor, targets: torch.Tensor) -> float:
    confusion = Confusion(3)
    with torch.inference_mode():
        confusion.add(targets.numpy().astype("uint8"), model.eval()(images).argmax(1).numpy().astype("uint8"))
    return confusion.scores(("background", "coin", "gland")).miou


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_it_learns_four_pictures_by_heart(name: str, pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, targets = enlarged(*pictures, SIZES.get(name, SIZE))
    torch.manual_seed(0)
    model = build_model(f"{name}:fc={FC}" if name.startswith("fcn") else name, 3, width=WIDTHS.get(name))
    optimizer = torch.optim.Adam(model.parameters(), default_lr("adam", model, pretrained=False), fused=True)
    best = 0.0
    for step in range(1, STEPS + 1):
        model.train()
        outputs = model.all_logits(images)
        losses = [torch.nn.functional.cross_entropy(output, targets, ignore_index=255) for output in outputs]
        loss = losses[0] + sum(w * loss for w, loss in zip(model.side_weights, losses[1:], strict=True))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % BETWEEN == 0:
            best = max(best, miou(model, images, targets))
            if best > 0.9:
                print(f"{name}: {step} steps")
                return
    pytest.fail(f"mIoU {best:.3f} after {STEPS} steps")
