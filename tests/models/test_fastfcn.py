"""FastFCN's joint pyramid upsampling, and the heads on it."""

import pytest
import torch

from toolkit.models.base import ModelSpec
from toolkit.models.fastfcn import JointPyramidUpsampling, build

ENCODER = 23_508_032
PYRAMID = 9 * (512 + 1024 + 2048) * 512 + 3 * 2 * 512 + 4 * (9 * 1536 + 2 * 1536 + 1536 * 512 + 2 * 512)
SIDE = 9 * 1024 * 256 + 2 * 256 + 256 * 21 + 21


@pytest.mark.parametrize(
    ("head", "of_head"),
    [
        ("aspp", 2 * 2048 * 256 + 3 * 9 * 2048 * 256 + 5 * 256 * 256 + 9 * 256 * 256 + 7 * 2 * 256 + 256 * 21 + 21),
        ("psp", 4 * (2048 * 512 + 2 * 512) + 9 * 4096 * 512 + 2 * 512 + 512 * 21 + 21),
        ("fcn", 9 * 2048 * 512 + 2 * 512 + 512 * 21 + 21),
    ],
)
def test_number_of_parameters_is_that_of_the_papers_layers(head: str, of_head: int) -> None:
    with torch.device("meta"):
        model = build(ModelSpec(21), head=head)
        assert sum(p.numel() for p in model.parameters()) == ENCODER + PYRAMID + SIDE + of_head
        assert model(torch.empty(1, 3, 33, 70)).shape == (1, 21, 33, 70)


def test_pyramid_joins_three_features_at_the_size_of_the_finest() -> None:
    torch.manual_seed(0)
    pyramid = JointPyramidUpsampling((4, 6, 8)).eval()
    features = [torch.randn(1, channels, 16 // cut, 24 // cut) for channels, cut in ((4, 1), (6, 2), (8, 4))]
    with torch.inference_mode():
        joined = pyramid(features)
        assert joined.shape == (1, 2048, 16, 24)
        for place in range(3):
            changed = [f + (i == place) for i, f in enumerate(features)]
            assert not torch.allclose(pyramid(changed), joined)


def test_branches_look_1_2_4_and_8_pixels_far() -> None:
    """How far a change at one place of the finest feature is felt along its row, beside the 1 of the first layer."""
    torch.manual_seed(0)
    pyramid = JointPyramidUpsampling((2, 2, 2)).eval()
    features = [torch.zeros(1, 2, 32 // cut, 32 // cut) for cut in (1, 2, 4)]
    spotted = [features[0].clone(), *features[1:]]
    spotted[0][..., 16, 16] = 1.0
    with torch.inference_mode():
        change = (pyramid(spotted) - pyramid(features))[0].abs().unflatten(0, (4, 512)).sum(1).amax(1)
    reach = [int((row > 0).nonzero().max()) - 16 for row in change]
    assert reach == [2, 3, 5, 9]


def test_auxiliary_head_weighs_what_it_does_in_the_authors_program() -> None:
    with torch.device("meta"):
        assert build(ModelSpec(2)).side_weights == (0.2,)
