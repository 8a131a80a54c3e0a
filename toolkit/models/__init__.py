"""Every model by name. Each one takes float (N, C, H, W) of any size and gives logits (N, K, H, W)."""

from toolkit.registry import Entry, Registry

MODELS = Registry(
    "model",
    {
        "vgg16-unet": Entry(
            "toolkit.models.vgg16_unet:build", "VGG16 encoder (ImageNet weights), U-Net decoder; the tutorial's model"
        ),
        "unet": Entry(
            "toolkit.models.unet:build", "small U-Net with BatchNorm, --width channels at full size; quick on a CPU"
        ),
    },
)
