"""The small U-Net."""

from torch import nn

from toolkit.models.build import build_model


def double(before: int, after: int) -> int:
    """Weights of two 3x3 convolutions without bias, each with the scale and shift of a BatchNorm."""
    return 9 * before * after + 9 * after * after + 4 * after


def test_parameters_as_counted_by_hand_for_a_width_of_8() -> None:
    down = double(3, 8) + double(8, 16) + double(16, 32) + double(32, 64) + double(64, 128)
    up = double(64 + 128, 64) + double(32 + 64, 32) + double(16 + 32, 16) + double(8 + 16, 8)
    head = 8 * 5 + 5
    model = build_model("unet", 5, width=8)
    assert sum(p.numel() for p in model.parameters()) == down + up + head


def test_width_is_the_number_of_channels_at_full_size_and_32_by_default() -> None:
    heads = [module for module in build_model("unet", 5).modules() if isinstance(module, nn.Conv2d)]
    assert heads[-1].in_channels == 32
    assert max(module.out_channels for module in heads) == 512
