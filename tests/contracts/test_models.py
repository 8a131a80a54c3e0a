"""What every model of the table promises; a new model is tested by being listed."""

import functools
import io

import pytest
import torch
from torch import nn

from toolkit.errors import UsageError
from toolkit.models import MODELS
from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model

every_model = pytest.mark.parametrize("name", list(MODELS))


def build(name: str, classes: int = 3, in_channels: int = 3) -> SegmentationModel:
    """A small one where the model offers a width."""
    torch.manual_seed(0)
    try:
        return build_model(name, classes, in_channels=in_channels, width=4)
    except UsageError:
        return build_model(name, classes, in_channels=in_channels)


@functools.cache
def resting(name: str, classes: int = 3, in_channels: int = 3) -> SegmentationModel:
    """Shared by the tests that only look."""
    return build(name, classes, in_channels).eval()


@every_model
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (33, 16), (40, 57)])
def test_logits_have_the_images_size_whatever_it_is(name: str, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = resting(name)(torch.randn(2, 3, *size))
    assert logits.shape == (2, 3, *size)
    assert logits.isfinite().all()


@every_model
@pytest.mark.parametrize(("classes", "in_channels"), [(2, 1), (21, 3), (2, 4)])
def test_any_number_of_classes_and_channels(name: str, classes: int, in_channels: int) -> None:
    with torch.inference_mode():
        logits = build(name, classes, in_channels).eval()(torch.randn(1, in_channels, 19, 22))
    assert logits.shape == (1, classes, 19, 22)


@every_model
def test_images_of_a_batch_do_not_see_each_other_when_predicting(name: str) -> None:
    images = torch.randn(3, 3, 21, 30)
    with torch.inference_mode():
        together = resting(name)(images)
        alone = torch.cat([resting(name)(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@every_model
@pytest.mark.parametrize("at", [(24, 40), (72, 16)])
def test_logits_change_where_the_picture_does(name: str, at: tuple[int, int]) -> None:
    """Rows stay rows and columns columns, nothing is mirrored or moved."""
    model, blank = resting(name), torch.zeros(1, 3, 96, 96)
    spot = blank.clone()
    spot[..., at[0] - 3 : at[0] + 3, at[1] - 3 : at[1] + 3] = 2.0
    with torch.inference_mode():
        change = (model(spot) - model(blank))[0].abs().sum(0) ** 4
    middle = (float((change.sum(axis) * torch.arange(96)).sum() / change.sum()) for axis in (1, 0))
    assert list(middle) == pytest.approx(at, abs=12)


@every_model
def test_every_parameter_learns_from_a_batch_of_one(name: str) -> None:
    model = build(name).train()
    loss = nn.functional.cross_entropy(model(torch.randn(1, 3, 33, 40)), torch.randint(0, 3, (1, 33, 40)))
    loss.backward()  # type: ignore[no-untyped-call]
    deaf = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert deaf == []
    assert [key for key, p in model.named_parameters() if p.grad is not None and not p.grad.any()] == []


@every_model
def test_state_dict_gives_the_same_logits_in_a_new_model(name: str) -> None:
    source = build(name)
    with torch.no_grad():
        source(torch.randn(2, 3, 32, 32))  # moves BatchNorm statistics, which must travel too
    buffer = io.BytesIO()
    torch.save(source.state_dict(), buffer)
    buffer.seek(0)
    copy = build(name)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.add_(1.0)
    copy.load_state_dict(torch.load(buffer, weights_only=True))
    images = torch.randn(1, 3, 35, 34)
    with torch.inference_mode():
        torch.testing.assert_close(copy.eval()(images), source.eval()(images), atol=0, rtol=0)


@every_model
def test_channels_last_computes_the_same(name: str) -> None:
    images = torch.randn(2, 3, 37, 32)
    model = build(name).eval()
    with torch.inference_mode():
        expected = model(images)
        model.to(memory_format=torch.channels_last)
        actual = model(images.to(memory_format=torch.channels_last))
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-3)


def statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.named_buffers()}


@every_model
def test_frozen_encoder_rests_and_wakes_up_again(name: str) -> None:
    model = build(name).train()
    images, targets = torch.randn(2, 3, 32, 32), torch.randint(0, 3, (2, 32, 32))

    model.freeze_encoder(True)
    before = statistics(model.encoder)
    nn.functional.cross_entropy(model(images), targets).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in model.encoder.parameters())
    outside = [p for key, p in model.named_parameters() if not key.startswith("encoder.")]
    assert outside and all(p.grad is not None for p in outside)
    for key, value in statistics(model.encoder).items():
        torch.testing.assert_close(value, before[key], atol=0, rtol=0)

    model.train()
    model.freeze_encoder(False)
    nn.functional.cross_entropy(model(images), targets).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in model.encoder.parameters())
    if before:
        assert any(not torch.equal(value, before[key]) for key, value in statistics(model.encoder).items())


@every_model
def test_unfreezing_while_evaluating_keeps_the_statistics_at_rest(name: str) -> None:
    model = build(name).eval()
    model.freeze_encoder(True)
    model.freeze_encoder(False)
    before = statistics(model)
    with torch.inference_mode():
        model(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, before[key]) for key, value in statistics(model).items())


@every_model
def test_equal_seeds_draw_equal_models(name: str) -> None:
    one, two = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(value, two[key]) for key, value in one.items())


@every_model
def test_untrained_model_is_undecided(name: str) -> None:
    """Logits near 0: the first loss is log(K), not a number that throws the first steps off."""
    model = build(name, classes=21).train()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(torch.randn(2, 3, 64, 64)), torch.randint(0, 21, (2, 64, 64)))
    assert abs(float(loss) - 3.04) < 1.0


def test_unknown_model_gets_the_closest_name() -> None:
    with pytest.raises(UsageError, match=r"model 'vgg16unet' is not known\. Did you mean 'vgg16-unet'\?"):
        build_model("vgg16unet", 2)
