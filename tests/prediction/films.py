"""Small films of numbered scenes."""

from pathlib import Path

import cv2
import numpy as np

from tests.datasets import Pixels, paint, scene


def picture(seed: int, size: tuple[int, int] = (40, 60)) -> Pixels:
    """uint8 (H, W, 3) RGB."""
    rng = np.random.default_rng(seed)
    return paint(scene(size, 3, rng), rng)


def write_film(path: Path, frames: int, size: tuple[int, int] = (40, 60)) -> Path:
    """Motion JPEG in .avi at 10 frames a second; frame n is nearly `picture(n)`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, size[::-1])
    assert film.isOpened()
    for number in range(frames):
        film.write(cv2.cvtColor(picture(number, size), cv2.COLOR_RGB2BGR))
    film.release()
    return path
