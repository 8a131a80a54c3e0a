"""PSPNet's pyramid against means taken by hand."""

import torch

from toolkit.models.base import ModelSpec
from toolkit.models.pspnet import PyramidPooling, build


def test_number_of_parameters_is_that_of_the_papers_layers() -> None:
    encoder = 23_508_032
    pyramid = 4 * (2048 * 512 + 2 * 512)
    head = 9 * 4096 * 512 + 2 * 512 + 512 * 21 + 21
    side = 9 * 1024 * 256 + 2 * 256 + 256 * 21 + 21
    with torch.device("meta"):
        model = build(ModelSpec(21))
    assert sum(p.numel() for p in model.parameters()) == encoder + pyramid + head + side


def test_pyramid_takes_the_means_of_1_4_9_and_36_parts() -> None:
    torch.manual_seed(0)
    pyramid = PyramidPooling(8).eval()
    for branch in pyramid.branches:
        assert isinstance(branch, torch.nn.Sequential) and isinstance(branch[1], torch.nn.Sequential)
        torch.nn.init.dirac_(branch[1][0].weight)  # type: ignore[arg-type]  # channels 0 and 1 as they are
        branch[1][1] = torch.nn.Identity()
    x = torch.rand(1, 8, 6, 12)
    with torch.inference_mode():
        out = pyramid(x)
    assert out.shape == (1, 16, 6, 12)
    torch.testing.assert_close(out[:, :8], x)
    torch.testing.assert_close(out[:, 8:10], x[:, :2].mean((2, 3), keepdim=True).expand(1, 2, 6, 12))
    quarters = x[:, :2].reshape(1, 2, 2, 3, 2, 6).mean((3, 5))
    torch.testing.assert_close(out[:, 10:12, [0, 0, 5, 5], [0, 11, 0, 11]], quarters.flatten(2))
    pairs = x[:, :2].reshape(1, 2, 6, 6, 2).mean(4)
    torch.testing.assert_close(out[:, 14:16, :, 0], pairs[..., 0])


def test_auxiliary_head_learns_from_the_third_stage_with_the_papers_weight() -> None:
    torch.manual_seed(0)
    model = build(ModelSpec(3)).train()
    assert model.side_weights == (0.4,)
    logits, side = model.all_logits(torch.randn(1, 3, 17, 24))
    assert logits.shape == side.shape == (1, 3, 17, 24)
    side.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in model.encoder.layer3.parameters())
    assert all(p.grad is None for p in [*model.encoder.layer4.parameters(), *model.head.parameters()])


def test_encoder_keeps_an_eighth_of_the_images_size() -> None:
    with torch.device("meta"):
        features = build(ModelSpec(2), "resnet101").encoder(torch.empty(1, 3, 64, 80))
    assert features[-1].shape == (1, 2048, 8, 10)
