"""What every model of the table promises; a new model is tested by being listed.

Sizes, classes and figures are checked of all, on torch's device without memory; what takes arithmetic, of one of each
kind: the smallest of those that share their code.
"""

import copy
import functools

import pytest
import torch
from torch import nn

from toolkit.errors import UsageError
from toolkit.models import MODELS
from toolkit.models.base import SegmentationModel
from toolkit.models.blocks import with_shared_statistics
from toolkit.models.build import build_model
from toolkit.models.figures import figures
from toolkit.parameters import Choice

SMALL = {"fc": ("32",), "encoder": ("resnet18", "hrnet_w18_small_v2")}
"""Values of options that make a model small, where they are offered."""

SEE_ALL = ("fcn16s", "fcn32s", "segnet", "u2netp", "refinenet")
"""Of these, every logit sees more than 96 pixels a side, and random weights look everywhere alike."""


def smaller(name: str) -> str:
    """With options that make it small, if it has them."""
    given = []
    for option in MODELS.entry(name).options:
        offered = option.words if isinstance(option, Choice) else SMALL.get(option.name, ())
        given += [f"{option.name}={word}" for word in SMALL.get(option.name, ()) if word in offered]
    return f"{name}:{','.join(given)}" if given else name


def representatives() -> list[str]:
    """All that can be made small, and of the others the smallest of those that share a builder."""
    found, smallest = [], dict[str, str]()
    for name in MODELS:
        entry = MODELS.entry(name)
        if entry.has_width or smaller(name) != name:
            found.append(smaller(name))
        elif entry.target not in smallest or entry.parameters < MODELS.entry(smallest[entry.target]).parameters:
            smallest[entry.target] = name
    return [*found, *smallest.values(), "vgg11-bn-unet"]  # its encoder is the only one with BatchNorm of its family


def variants() -> list[str]:
    """Each representative with each other word that one of its options takes."""
    found = []
    for name in representatives():
        table_name, colon, rest = name.partition(":")
        for option in MODELS.entry(table_name).options:
            if isinstance(option, Choice) and option.name != "encoder":
                default = MODELS.entry(table_name).given.get(option.name, option.default)
                words = [word for word in option.words if word != default]
                found += [f"{table_name}:{rest}{',' if colon else ''}{option.name}={word}" for word in words]
    return found


LARGE = ("refinenet", "fastfcn", "pspnet", "deeplabv3", "deeplabv3plus")
"""Half of the time of this file. What their parts have in common with the others is looked at when there is time."""


def large_ones_later(names: list[str]) -> pytest.MarkDecorator:
    """Of a test that asks for little: that of the large models is slow."""
    return pytest.mark.parametrize(
        "name",
        [pytest.param(name, marks=[pytest.mark.slow] * (name.partition(":")[0] in LARGE), id=name) for name in names],
    )


all_models = large_ones_later(list(MODELS))
every_model = pytest.mark.parametrize("name", representatives())
most_models = large_ones_later(representatives())


def build(name: str, classes: int = 3, in_channels: int = 3) -> SegmentationModel:
    """A small one where the model offers a width, learning; equal arguments give equal models."""
    return copy.deepcopy(drawn(name, classes, in_channels)).train()


@functools.cache
def drawn(name: str, classes: int = 3, in_channels: int = 3) -> SegmentationModel:
    torch.manual_seed(0)
    width = 4 if MODELS.entry(name.partition(":")[0]).has_width else None
    return build_model(name, classes, in_channels=in_channels, width=width)


def resting(name: str) -> SegmentationModel:
    """Shared by the tests that only look: no copy, the large ones fill hundreds of megabytes."""
    return drawn(name).eval()


@all_models
def test_the_table_says_the_truth(name: str) -> None:
    entry, found = MODELS.entry(name), figures(name)
    assert (entry.parameters, entry.stride) == (found.parameters, found.stride)
    assert entry.gflops == pytest.approx(found.gflops, abs=0.06)
    assert entry.summary and entry.source


@all_models
@pytest.mark.parametrize(
    ("classes", "in_channels", "size", "training"), [(2, 1, (77, 1), False), (21, 4, (1, 131), True)]
)
def test_any_size_classes_and_channels(
    name: str, classes: int, in_channels: int, size: tuple[int, int], training: bool
) -> None:
    with torch.device("meta"):
        model = build_model(name, classes, in_channels=in_channels).train(training)
        outputs = model.all_logits(torch.empty(1, in_channels, *size))
    assert [tuple(output.shape) for output in outputs] == [(1, classes, *size)] * (1 + len(model.side_weights))


@large_ones_later(variants())
def test_every_word_of_every_option_gives_a_model_that_learns(name: str) -> None:
    model = build(name).train()
    loss_of(model, torch.randn(1, 3, 33, 40)).backward()  # type: ignore[no-untyped-call]
    assert deaf(model) == []
    usual = representatives_of(name)
    assert any(
        key not in usual.state_dict() or usual.state_dict()[key].shape != value.shape
        for key, value in model.state_dict().items()
    ) or not torch.equal(model.eval()(torch.ones(1, 3, 32, 32)), usual.eval()(torch.ones(1, 3, 32, 32))), (
        "the option changes nothing"
    )


def representatives_of(variant: str) -> SegmentationModel:
    return build(smaller(variant.partition(":")[0]))


def loss_of(model: SegmentationModel, images: torch.Tensor) -> torch.Tensor:
    """As training has it: cross-entropy of the logits, and of the side outputs with their weights."""
    targets = torch.randint(0, 3, (len(images), *images.shape[2:]), generator=torch.Generator().manual_seed(0))
    outputs = model.all_logits(images)
    losses = [nn.functional.cross_entropy(output, targets) for output in outputs]
    return losses[0] + sum(w * loss for w, loss in zip(model.side_weights, losses[1:], strict=True))


def deaf(model: SegmentationModel) -> list[str]:
    """Parameters that learn nothing."""
    return [
        key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]


@every_model
@pytest.mark.parametrize("size", [(1, 1), (40, 57)])
def test_logits_have_the_images_size_and_are_the_first_of_all_outputs(name: str, size: tuple[int, int]) -> None:
    images = torch.randn(1, 3, *size)
    with torch.inference_mode():
        logits = resting(name)(images)
        first = resting(name).all_logits(images)[0]
    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits, first)


@every_model
def test_images_of_a_batch_do_not_see_each_other_when_predicting(name: str) -> None:
    images = torch.randn(2, 3, 21, 30)
    with torch.inference_mode():
        together = resting(name)(images)
        alone = torch.cat([resting(name)(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@every_model
def test_logits_change_where_the_picture_does(name: str) -> None:
    """Rows stay rows and columns columns, nothing is mirrored or moved."""
    if name.partition(":")[0] in SEE_ALL:
        pytest.skip("sees all of the picture; the slow tests show that it finds places")
    places = ((24, 40), (72, 16))
    images = torch.zeros(3, 3, 96, 96)  # the last one stays blank
    for image, (y, x) in zip(images, places, strict=False):
        image[:, y - 3 : y + 3, x - 3 : x + 3] = 2.0
    with torch.inference_mode():
        *spots, blank = resting(name)(images)
    for spot, at in zip(spots, places, strict=True):
        change = (spot - blank).abs().sum(0) ** 4
        middle = (float((change.sum(axis) * torch.arange(96)).sum() / change.sum()) for axis in (1, 0))
        assert list(middle) == pytest.approx(at, abs=12)


@every_model
def test_every_parameter_learns_from_a_batch_of_one(name: str) -> None:
    model = build(name).train()
    loss_of(model, torch.randn(1, 3, 33, 40)).backward()  # type: ignore[no-untyped-call]
    assert deaf(model) == []
    least = MODELS.entry(name.partition(":")[0]).stride
    assert loss_of(model, torch.randn(1, 3, least, least)).isfinite(), "one value per channel at the coarsest"


@every_model
def test_state_dict_gives_the_same_logits_in_a_new_model(name: str) -> None:
    source, other = build(name), build(name)
    with torch.no_grad():
        source(torch.randn(2, 3, 32, 32))  # moves BatchNorm statistics, which must travel too
        for parameter in other.parameters():
            parameter.add_(1.0)
    state = source.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values()), "all that a file of weights can hold"
    other.load_state_dict(state)
    images = torch.randn(1, 3, 35, 34)
    with torch.inference_mode():
        torch.testing.assert_close(other.eval()(images), source.eval()(images), atol=0, rtol=0)


@most_models
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


@most_models
def test_frozen_encoder_rests_and_wakes_up_again(name: str) -> None:
    model = build(name).train()
    images = torch.randn(2, 3, 32, 32)

    model.freeze_encoder(True)
    before = statistics(model.encoder)
    loss_of(model, images).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in model.encoder.parameters())
    learning = {id(p) for p in model.encoder.parameters()}
    outside = [p for p in model.parameters() if id(p) not in learning]
    assert outside and all(p.grad is not None for p in outside)
    for key, value in statistics(model.encoder).items():
        torch.testing.assert_close(value, before[key], atol=0, rtol=0)

    model.train()
    model.freeze_encoder(False)
    loss_of(model, images).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in model.encoder.parameters())
    if before:
        assert any(not torch.equal(value, before[key]) for key, value in statistics(model.encoder).items())


@most_models
def test_unfreezing_while_evaluating_keeps_the_statistics_at_rest(name: str) -> None:
    model = build(name).eval()
    model.freeze_encoder(True)
    model.freeze_encoder(False)
    before = statistics(model)
    with torch.inference_mode():
        model(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, before[key]) for key, value in statistics(model).items())


@most_models
def test_statistics_can_be_shared_by_processes_without_changing_the_model(name: str) -> None:
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        expected = resting(name)(images)
        torch.testing.assert_close(with_shared_statistics(build(name)).eval()(images), expected)


def test_statistics_of_another_kind_are_not_shared_by_halves() -> None:
    """torch's own conversion leaves the activation out that timm's BatchNorm has in it."""
    with pytest.raises(UsageError, match="sync_bn: this model has BatchNormAct2d"):
        with_shared_statistics(build_model("smp:unet/tu-efficientnet_b0", 2))


def test_a_model_that_looks_at_values_while_it_is_built_is_counted_too() -> None:
    assert figures("smp:segformer/mit_b0", size=64).parameters > 3_000_000


@pytest.mark.slow
@every_model
def test_it_can_be_exported_and_compiled(name: str) -> None:
    model, images = resting(name), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(
            torch.export.export(model, (images,)).module()(images), expected, atol=1e-4, rtol=1e-4
        )
    plain, learning = build(name).train(), build(name).train()
    for part in (*plain.modules(), *learning.modules()):
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    compiled = torch.compile(learning.all_logits)
    expected = plain.all_logits(images)[0]
    # rounding may choose another maximum of a pool (SegNet), or turn the sign of one of two values that are normalised
    # by each other (PSPNet): so it is held against what rounding the input does to the model that is not compiled
    rounding = (plain.all_logits(images * (1 + 1e-6))[0] - expected).norm() / expected.norm()
    rounding = rounding.detach()
    assert (compiled(images)[0] - expected).norm() / expected.norm() < 0.01 + 3 * rounding
    for outputs in (compiled(images), plain.all_logits(images)):
        sum(output.square().mean() for output in outputs).backward()  # type: ignore[union-attr]
    norms = [
        torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        for model in (learning, plain)
    ]
    torch.testing.assert_close(norms[0], norms[1], rtol=float(0.01 + rounding), atol=1e-6)
    torch._dynamo.reset()


@most_models
def test_equal_seeds_draw_equal_models(name: str) -> None:
    once, again = drawn(name).state_dict(), drawn.__wrapped__(name).state_dict()
    assert once.keys() == again.keys() and all(torch.equal(value, once[key]) for key, value in again.items())


@most_models
def test_untrained_model_is_undecided(name: str) -> None:
    """Logits near 0: the first loss is log(K), not a number that throws the first steps off."""
    model = build(name, classes=21).train()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(torch.randn(2, 3, 64, 64)), torch.randint(0, 21, (2, 64, 64)))
    assert abs(float(loss) - 3.04) < 1.0


def test_unknown_model_gets_the_closest_name() -> None:
    with pytest.raises(UsageError, match=r"model 'vgg16unet' is not known\. Did you mean 'vgg16-unet'\?"):
        build_model("vgg16unet", 2)
