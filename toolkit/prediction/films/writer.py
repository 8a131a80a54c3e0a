"""Pictures one after the other -> a film: MPEG-4 Part 2 in .mp4.

That is what OpenCV's own build encodes on every system, hundreds of pictures a second, and what VLC, QuickTime, Windows
and every editor play; browsers do not. H.264 it writes only where a device or a library of the system does, complaining
aloud where not; its VP9 takes thirty times as long, and its Motion JPEG writes beyond its memory for small pictures.
"""

import math
import os
import shutil
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.errors import DataError, RunError, UsageError

SUFFIX = ".mp4"
LARGEST_SIDE = 8190
"""Pixels; MPEG-4 has 13 bits for a side, and sides are even."""

_CODEC = "mp4v"
_FINEST_TIME = 65_535  # what MPEG-4 divides a second into at most; the rate times a power of ten has to fit
_LOWEST_FPS, _HIGHEST_FPS = 0.01, 1000.0
_ROOM = 1 << 20  # bytes that have to be free; OpenCV tells nobody that a disk is full


class FilmWriter:
    """A film that is being written, beside its name until it is complete.

    path     *.mp4
    fps      pictures a second, 0.01..1000; kept to a thousandth up to 65, to a hundredth up to 655, else to a tenth
    size     (H, W) of every picture, 1..8190. Sides of a film are even: the last row or column of odd ones is repeated
    frames   how many pictures it has

    As a context manager it is closed at the end of the block, and given up if the block ends with an error.
    Raises UsageError for another suffix or rate, DataError for a size that no film can have, RunError if it cannot be
    written.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        if path.suffix.lower() != SUFFIX:
            raise UsageError(f"{path}: films are written as {SUFFIX}, not as '{path.suffix}'.")
        if not (math.isfinite(fps) and _LOWEST_FPS <= fps <= _HIGHEST_FPS):
            raise UsageError(f"fps: {_LOWEST_FPS:g} to {_HIGHEST_FPS:g} is possible, got {fps}.")
        if not all(1 <= side <= LARGEST_SIDE for side in size):
            raise DataError(
                f"{path}: a film's sides have 1 to {LARGEST_SIDE} pixels, got {size[1]} x {size[0]}. "
                "Save pictures instead of a film."
            )
        self.path = path
        self.size = size
        self.frames = 0
        self._closed = False
        self._even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        # absolute, because FFmpeg takes what begins with a word and a colon for an address
        self._partial = path.absolute().with_name(f".{os.urandom(8).hex()}.partial{SUFFIX}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.touch(exist_ok=False)  # OpenCV would not say why it cannot write there
            codec = cv2.VideoWriter.fourcc(*_CODEC)
            self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, codec, _rounded(fps), self._even[::-1])
        except OSError as error:
            raise RunError(
                f"{path}: cannot be written: {error.strerror or error}. Free space or choose another folder."
            ) from error
        except (UnicodeError, cv2.error):
            self._partial.unlink(missing_ok=True)
            raise RunError(f"{path}: OpenCV cannot write under such a name. Choose another folder.") from None
        if not self._writer.isOpened():
            self.abort()
            raise RunError(
                f"{path}: this build of OpenCV cannot encode {_CODEC}. Install opencv-python-headless, or save pictures "
                "instead of a film."
            )

    def add(self, rgb: npt.NDArray[np.uint8]) -> None:
        """Append a picture: uint8 (H, W, 3) RGB. Raises DataError if it is of another kind, RunError if the disk is full."""
        if rgb.dtype != np.uint8 or rgb.shape != (*self.size, 3):
            H, W = self.size
            raise DataError(f"{self.path}: uint8 ({H}, {W}, 3) RGB is needed, got {rgb.dtype} {rgb.shape}.")
        if shutil.disk_usage(self._partial.parent).free < _ROOM:
            raise RunError(f"{self.path}: the disk is full. Free space or choose another folder.")
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        down, right = self._even[0] - self.size[0], self._even[1] - self.size[1]
        if down or right:
            bgr = cv2.copyMakeBorder(bgr, 0, down, 0, right, cv2.BORDER_REPLICATE)
        self._writer.write(bgr)
        self.frames += 1

    def close(self) -> Path:
        """Finish the film and give it its name. Raises RunError if it is empty or not complete on the disk."""
        if self._closed:
            return self.path
        self._closed = True
        self._writer.release()
        try:
            if not self.frames:
                raise RunError(f"{self.path}: no picture was added, and there is no film without one.")
            if not self._complete():
                raise RunError(f"{self.path}: could not be written completely. Free space or choose another folder.")
            self._partial.replace(self.path)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}.") from error
        finally:
            self._partial.unlink(missing_ok=True)
        return self.path

    def abort(self) -> None:
        """Give the film up; nothing of it stays, unless it was closed before."""
        self._closed = True
        self._writer.release()
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> "FilmWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _complete(self) -> bool:
        """Whether the file says that it holds every picture; it says so at its end, which is written last."""
        film = cv2.VideoCapture(str(self._partial), cv2.CAP_FFMPEG)
        try:
            keys = (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_COUNT)
            return [film.get(key) for key in keys] == [*self._even, self.frames]
        finally:
            film.release()


def _rounded(fps: float) -> float:
    return round(fps, next(digits for digits in (3, 2, 1) if fps * 10**digits <= _FINEST_TIME))
