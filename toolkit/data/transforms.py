"""Augmentation: sample -> square training sample. Every draw comes from the generator that is handed in."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.data.preprocess import Preprocess, pad_image, pad_mask, resize_image, resize_mask
from toolkit.errors import unknown_name
from toolkit.labels.annotation import Mask


@dataclass(frozen=True)
class Augment:
    """How strongly samples are varied. Zero or (1, 1) switches a part off.

    scale        range of the zoom against the fitted size, drawn evenly in its logarithm
    aspect       largest stretch of width against height
    flip         probability of a left-right flip
    brightness, contrast, saturation   largest relative change
    hue          largest turn of the colour circle, in degrees
    """

    scale: tuple[float, float] = (1.0, 1.0)
    aspect: float = 1.0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


AUGMENTS = {
    "none": Augment(),
    "default": Augment((0.6, 1.8), aspect=1.15, flip=0.5, brightness=0.25, contrast=0.25, saturation=0.3, hue=8.0),
}


def augment_by_name(name: str) -> Augment:
    """Look a preset up. Raises UsageError with the closest known name."""
    if name not in AUGMENTS:
        raise unknown_name("augmentation", name, AUGMENTS)
    return AUGMENTS[name]


def training_view(
    image: npt.NDArray[np.uint8],
    mask: Mask,
    preprocess: Preprocess,
    augment: Augment,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], Mask]:
    """uint8 (H, W, 3) RGB and (H, W) ids -> (S, S, 3) and (S, S) with S = preprocess.size.

    What lies outside the picture is filled with the mean colour and is ignore in the mask.
    """
    h, w = preprocess.fitted((image.shape[0], image.shape[1]))
    zoom = float(np.exp(rng.uniform(*np.log(augment.scale))))
    stretch = float(np.exp(rng.uniform(-0.5, 0.5) * np.log(augment.aspect)))
    size = max(1, round(h * zoom / stretch)), max(1, round(w * zoom * stretch))
    image, mask = resize_image(image, size), resize_mask(mask, size)
    square = (preprocess.size, preprocess.size)
    varies = augment.scale != (1.0, 1.0)
    at = tuple(_offset(length, preprocess.size, rng) if varies else 0 for length in size)
    image = pad_image(image, square, preprocess.filling, (at[0], at[1]))
    mask = pad_mask(mask, square, (at[0], at[1]))
    if rng.random() < augment.flip:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return np.ascontiguousarray(_recoloured(image, augment, rng)), np.ascontiguousarray(mask)


def _offset(length: int, room: int, rng: np.random.Generator) -> int:
    """Where to place a picture's side in the square: anywhere inside if it is shorter, any cut if it is longer."""
    low, high = sorted((0, room - length))
    return int(rng.integers(low, high, endpoint=True))


def _recoloured(image: npt.NDArray[np.uint8], augment: Augment, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    brightness, contrast, saturation = (
        1 + rng.uniform(-1, 1) * strength for strength in (augment.brightness, augment.contrast, augment.saturation)
    )
    hue = rng.uniform(-1, 1) * augment.hue
    if augment.saturation or augment.hue:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        steps = np.arange(256)
        table = np.empty((256, 1, 3), np.uint8)  # (256, 1, 3): OpenCV 5 refuses what is cut to (256, 3)
        table[:, 0, 0] = np.where(steps < 180, (steps + round(hue / 2)) % 180, steps)  # OpenCV counts hue in 2 degrees
        table[:, 0, 1] = (steps * saturation).clip(0, 255)
        table[:, 0, 2] = steps
        image = np.asarray(cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB), np.uint8)
    if augment.brightness or augment.contrast:
        curve = ((np.arange(256, dtype=np.float64) - 128) * contrast + 128) * brightness
        image = np.asarray(cv2.LUT(image, curve.clip(0, 255).astype(np.uint8)), np.uint8)
    return image
