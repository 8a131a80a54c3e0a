"""Films and cameras -> frames, decoded beside the work on them."""

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.errors import DataError
from toolkit.prediction.sources import Source

Frame = tuple[int, npt.NDArray[np.uint8]]
"""Number in the film, from 0, and uint8 (H, W, 3) RGB, upright."""

_AHEAD = 4  # frames decoded before they are asked for
_USUAL_FPS = 25.0
_SMALLEST_FPS, _LARGEST_FPS = 0.01, 1000.0  # of films that are written
_SLACK = 0.02  # share of the frames that a container may promise beyond what it holds: many only estimate
_LISTS_OF_OTHER_FILES = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"<SMIL")
_SILENT = 0  # of OpenCV's log levels

# read by OpenCV when it first opens a film: FFmpeg shall not write on the terminal, nor a film name network addresses
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")


class Frames:
    """The frames of one film or camera.

    every   take only each N-th frame, beginning with the first
    most    end after so many; None: all

    Raises DataError if it cannot be opened. If a film ends before its time, `damage` says so after the last frame.
    """

    def __init__(self, source: Source, *, every: int = 1, most: int | None = None) -> None:
        self._capture = _opened(source)
        self._source, self._every, self._most = source, every, most
        self.damage: str | None = None

    @property
    def fps(self) -> float:
        """Taken frames a second; 25 where the file or the camera does not know."""
        return max(_SMALLEST_FPS, self._fps_of_all / self._every)

    @property
    def _fps_of_all(self) -> float:
        fps: float = self._capture.get(cv2.CAP_PROP_FPS)
        return fps if 0 < fps <= _LARGEST_FPS else _USUAL_FPS

    @property
    def expected(self) -> int | None:
        """How many frames will be taken, as the file says; None: unknown."""
        frames = self._promised
        if frames is None:
            return self._most if self._source.camera is not None else None
        taken = -(-frames // self._every)
        return taken if self._most is None else min(taken, self._most)

    @property
    def _promised(self) -> int | None:
        frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(frames) if self._source.camera is None and 0 < frames < 1 << 40 else None

    def __iter__(self) -> Iterator[Frame]:
        """Each frame once; then the file is closed."""
        promised, number, taken, seconds = self._promised, 0, 0, 0.0
        size: tuple[int, ...] | None = None
        try:
            while self._most is None or taken < self._most:
                if not self._capture.grab():
                    self.damage = self._damage(promised, number, seconds)
                    return
                if number % self._every == 0:
                    found, bgr = self._capture.retrieve()
                    if found:
                        if size not in (None, bgr.shape[:2]):
                            self.damage = f"changes its size after {number} frames; what follows is left out."
                            return
                        size = bgr.shape[:2]
                        taken += 1
                        yield number, cv2.cvtColor(_three_channels(bgr), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
                seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                number += 1
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file or the camera."""
        self._capture.release()

    def _damage(self, promised: int | None, read: int, seconds: float) -> str | None:
        if self._source.camera is not None:
            return "the camera gives no more pictures."
        if not read:
            return "no frame of it can be decoded."
        if promised is None or read >= promised - max(2, _SLACK * promised):
            return None
        length = promised / (self.fps * self._every)
        if seconds >= (1 - _SLACK) * length - 2 / (
            self.fps * self._every
        ):  # a rate that varies: the number was a guess
            return None
        return f"ends after frame {read} of {promised}; what follows is damaged or missing."


def ahead(frames: Callable[[], Iterator[Frame]]) -> Iterator[Frame]:
    """The same frames, made in a thread, a few of them before they are asked for."""
    waiting: queue.Queue[Frame | BaseException | None] = queue.Queue(_AHEAD)
    enough = threading.Event()

    def hand_over(item: Frame | BaseException | None) -> None:
        while not enough.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for frame in frames():
                hand_over(frame)
                if enough.is_set():
                    break
            hand_over(None)
        except BaseException as error:  # it is raised where the frames are used
            hand_over(error)

    thread = threading.Thread(target=work, name="decoding", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        enough.set()
        thread.join(timeout=10)


def count_frames(source: Source, every: int, most: int | None) -> int | None:
    """How many frames will be taken of a film, as its file says; None: unknown. A film that cannot be read has none."""
    try:
        frames = Frames(source, every=every, most=most)
    except DataError:
        return 0
    expected = frames.expected
    frames.close()
    return expected


def _opened(source: Source) -> Any:
    camera = source.camera
    if camera is not None:
        with _quiet():
            capture = cv2.VideoCapture(camera)
        if not capture.isOpened():
            raise DataError(f"{source.place}: there is no such camera, or another program uses it.")
        return capture
    path = source.path
    if not path.is_file():
        raise DataError(f"{path}: {_what_it_is(path)}")
    try:
        with path.open("rb") as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if head.startswith(_LISTS_OF_OTHER_FILES):
        raise DataError(f"{path}: is a list of other files, not a film. Name the films themselves.")
    # an absolute path is never taken for an address, and FFmpeg itself never for a pattern of numbered pictures
    with _quiet():
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError(
            f"{path}: not a film, or a damaged one, or of a kind that OpenCV cannot decode here. "
            "If other programs play it, convert it to .mp4 with H.264."
        )
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _what_it_is(path: Path) -> str:
    if path.is_dir():
        return "is a folder; a list holds files. Name the folder itself."
    return "is no ordinary file. Name a film that lies on a disk." if path.exists() else "there is no such file."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What OpenCV would write on the terminal is said in the error."""
    levels: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # before OpenCV 5, and since
    before = levels.getLogLevel()
    levels.setLogLevel(_SILENT)
    try:
        yield
    finally:
        levels.setLogLevel(before)


def _three_channels(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture[:, :, :3]
