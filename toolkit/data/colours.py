"""Changes of a picture that leave every pixel where it is: colours, blur, noise, compression."""

import math
from statistics import NormalDist
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.data.augment import Augment

Pixels: TypeAlias = npt.NDArray[np.uint8]

DICE = 10
"""How many numbers `recoloured` wants."""

_NORMAL = np.array([NormalDist().inv_cdf((step + 0.5) / 256) for step in range(256)])
"""256 values of equal probability under the standard normal distribution: a random byte picks one."""

_LUMA = np.array([0.299, 0.587, 0.114])
"""How bright red, green and blue are to the eye; ITU-R BT.601."""


def recoloured(image: Pixels, augment: Augment, dice: list[float], rng: np.random.Generator) -> Pixels:
    """uint8 (H, W, 3) RGB -> the same, changed in the order in which light, lens, sensor and file would.

    dice    ten numbers in [0, 1), each for a purpose of its own
    rng     for the noise, if there is any
    """
    strengths = augment.brightness, augment.contrast, augment.saturation, augment.hue
    if any(strengths):
        changes = [(2 * die - 1) * strength for die, strength in zip(dice, strengths, strict=False)]
        image = np.asarray(cv2.transform(image, _tint(*changes)), np.uint8)
    if augment.blur and dice[4] < augment.blur_chance:
        image = _blurred(image, dice[5] * augment.blur)
    if augment.noise and dice[6] < augment.noise_chance:
        image = _noisy(image, dice[7] * augment.noise, rng)
    if augment.jpeg < 100 and dice[8] < augment.jpeg_chance:
        image = _compressed(image, round(augment.jpeg + dice[9] * (100 - augment.jpeg)))
    return image


def _tint(brightness: float, contrast: float, saturation: float, degrees: float) -> npt.NDArray[np.float64]:
    """All changes of colour as one affine map of RGB, float64 (3, 4), a tenth of the time of going through HSV.

    Hue is turned about the axis of greys, saturation goes away from or towards the brightness of the pixel, contrast
    away from or towards the middle grey, brightness is a factor. Greys keep their hue.
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)) / math.sqrt(3)
    third = (1 - cos) / 3
    turn = np.array(  # Rodrigues' formula for the axis (1, 1, 1)
        [
            [cos + third, third - sin, third + sin],
            [third + sin, cos + third, third - sin],
            [third - sin, third + sin, cos + third],
        ]
    )
    strong = (1 + saturation) * np.eye(3) - saturation * _LUMA
    tinted = (1 + contrast) * strong @ turn
    middle = np.full((3, 1), -128 * contrast)
    return np.hstack([tinted, middle]) * (1 + brightness)


def _blurred(image: Pixels, deviation: float) -> Pixels:
    reach = math.ceil(3 * deviation)
    if not reach:
        return image
    width = 2 * reach + 1
    return np.asarray(cv2.GaussianBlur(image, (width, width), deviation, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _noisy(image: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    """Bytes and a table: a tenth of the time of drawing normal numbers."""
    table = (_NORMAL * deviation).round().astype(np.int16)
    drawn = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    return np.asarray(cv2.add(image, cv2.LUT(drawn, table), dtype=cv2.CV_8U), np.uint8)


def _compressed(image: Pixels, quality: int) -> Pixels:
    """Written as JPEG and read again; OpenCV takes colours as BGR, and the file keeps less of blue than of green."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert read is not None, "it was written just now"
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)
