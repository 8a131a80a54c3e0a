"""Every model by name. Each one takes float (N, C, H, W) of any size and gives logits (N, K, H, W)."""

from toolkit.models.entry import ModelEntry
from toolkit.registry import Registry

MODELS = Registry(
    "model",
    {
        "vgg16-unet": ModelEntry(
            "toolkit.models.vgg_unet:build",
            "VGG16 encoder (ImageNet weights), U-Net decoder; the tutorial's model",
            given={"encoder": "vgg16"},
        ),
        "unet": ModelEntry(
            "toolkit.models.unet:build",
            "small U-Net with BatchNorm, --width channels at full size; quick on a CPU",
            has_width=True,
            has_upscale=True,
        ),
    },
)
