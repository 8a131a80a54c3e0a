"""FCN on VGG16: names and counts of the weights, and where the scores lie."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec
from toolkit.models.fcn import Enlarge, Fcn, build

SKIP_WEIGHTS = {32: 0, 16: 512 * 21 + 21, 8: 512 * 21 + 21 + 256 * 21 + 21}


def small(finest: int, upsampling: str = "learnt", classes: int = 3) -> Fcn:
    torch.manual_seed(0)
    return build(ModelSpec(classes), finest, upsampling, fc=8)


@pytest.mark.parametrize("finest", [8, 16, 32])
def test_parameters_are_vgg16s_and_those_of_the_scores(finest: int) -> None:
    """The paper gives 134 million. VGG16 has 138,357,544, of which 4,097,000 are its last layer, not used here."""
    with torch.device("meta"):
        model = build(ModelSpec(21), finest, "fixed")
    count = sum(p.numel() for p in model.parameters())
    assert count == 138_357_544 - 4_097_000 + (4096 * 21 + 21) + SKIP_WEIGHTS[finest]
    assert round(count / 1e6) == 134


def test_encoder_has_the_names_of_torchvisions_vgg16_and_as_many_weights_under_each() -> None:
    with torch.device("meta"):
        ours = build(ModelSpec(21), 32).encoder.state_dict()
        theirs = torchvision.models.vgg16(weights=None).state_dict()
    expected = {key: value.numel() for key, value in theirs.items() if not key.startswith("classifier.6.")}
    assert {key: value.numel() for key, value in ours.items()} == expected


def test_linear_layers_of_vgg16_reshaped_compute_the_same_where_the_window_fits() -> None:
    """The middle of a 7x7 feature sees exactly what VGG16's first linear layer does."""
    torch.manual_seed(0)
    classifier = small(32).encoder.classifier.eval()
    fc6, fc7 = nn.Linear(512 * 7 * 7, 8), nn.Linear(8, 8)
    state = {f"{i}.{part}": getattr(fc, part) for i, fc in ((0, fc6), (3, fc7)) for part in ("weight", "bias")}
    classifier.load_state_dict({key: value.reshape_as(classifier.state_dict()[key]) for key, value in state.items()})
    pool5 = torch.rand(2, 512, 7, 7)
    with torch.inference_mode():
        expected = fc7(fc6(pool5.flatten(1)).relu()).relu()
        torch.testing.assert_close(classifier(pool5)[:, :, 3, 3], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
@pytest.mark.parametrize("mixed", [True, False])
def test_learnt_upsampling_begins_as_bilinear_interpolation_borders_included(factor: int, mixed: bool) -> None:
    scores = torch.randn(2, 3, 4, 5)
    with torch.inference_mode():
        actual = Enlarge(3, factor, learnt=True, mixed=mixed)(scores)
    expected = F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("finest", [8, 16, 32])
def test_both_upsamplings_give_one_models_logits_before_learning(finest: int) -> None:
    learnt, fixed = small(finest).eval(), small(finest, "fixed").eval()
    assert sum(p.numel() for p in learnt.parameters()) > sum(p.numel() for p in fixed.parameters())
    learnt.load_state_dict(fixed.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = fixed(images)
        torch.testing.assert_close(learnt(images), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)


@pytest.mark.parametrize(("finest", "sources"), [(8, 3), (16, 2), (32, 1)])
def test_what_a_score_says_of_a_cell_lies_over_that_cell(finest: int, sources: int) -> None:
    """Each score layer alone, answering to one cell: the logits' centre of mass is the middle of that cell."""
    model = small(finest, classes=2).eval()
    layers = [model.head, *model.skips]
    assert len(layers) == sources
    for index, (layer, stride) in enumerate(zip(layers, (32, 16, 8), strict=False)):
        cells = [torch.zeros(1, c, 192 // s, 192 // s) for c, s in ((256, 8), (512, 16), (8, 32))]  # pool3, pool4, fc7
        for head in layers:
            nn.init.constant_(head.weight, float(head is layer))
        row, column = 96 // stride, 128 // stride
        cells[2 - index][:, 0, row, column] = 1.0
        model.encoder.forward = lambda images, cells=cells: tuple(cells)  # type: ignore[method-assign, misc]
        with torch.inference_mode():
            logits = model(torch.zeros(1, 3, 192, 192))[0, 0]
        pixels = torch.arange(192) + 0.5
        middle = [float((logits.sum(axis) * pixels).sum() / logits.sum()) for axis in (1, 0)]
        assert middle == pytest.approx([(row + 0.5) * stride, (column + 0.5) * stride], abs=1e-3)


def test_coarser_forms_are_enlarged_from_their_own_stride() -> None:
    """FCN-32s gives one score a 32-pixel cell: between the middles of two cells its logits are straight lines."""
    logits = {}
    for finest in (8, 32):
        with torch.inference_mode():
            logits[finest] = small(finest, "fixed").eval()(torch.randn(1, 3, 96, 96))[0, 0, 48, 16:48]
    bends = {finest: row.diff().diff().abs().max() / row.abs().max() for finest, row in logits.items()}
    assert bends[32] < 1e-4
    assert bends[8] > 1e-3
