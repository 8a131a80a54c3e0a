"""Films and cameras: every frame, upright, in order, and no more than there are."""

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.datasets import Pixels
from tests.prediction.films import picture, write_film
from toolkit.errors import DataError
from toolkit.prediction.films.frames import Frame, Frames, ahead, count_frames
from toolkit.prediction.sources import Source


def film(path: Path) -> Source:
    return Source(str(path), path.stem)


def test_frames_are_those_of_the_film_in_rgb(tmp_path: Path) -> None:
    frames = Frames(film(write_film(tmp_path / "a.avi", 8)))
    assert (frames.fps, frames.expected) == (10.0, 8)
    found = list(frames)
    assert [number for number, _ in found] == list(range(8)) and frames.damage is None
    for number, rgb in found:
        assert rgb.dtype == np.uint8 and rgb.shape == (40, 60, 3)
        errors = [np.abs(rgb.astype(int) - picture(other).astype(int)).mean() for other in range(8)]
        assert np.argmin(errors) == number


def test_every_and_most_choose_frames_and_keep_the_speed(tmp_path: Path) -> None:
    path = film(write_film(tmp_path / "a.avi", 8))
    frames = Frames(path, every=3)
    assert frames.expected == 3 and frames.fps == pytest.approx(10 / 3)
    assert [number for number, _ in frames] == [0, 3, 6] and frames.damage is None
    assert [number for number, _ in Frames(path, every=3, most=2)] == [0, 3]
    assert [count_frames(path, 1, None), count_frames(path, 3, 2)] == [8, 2]


def turned(path: Path) -> Path:
    """An .mp4 like those of a telephone that was held upright: a matrix in its header says so."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    left = np.zeros((48, 64, 3), np.uint8)
    left[:, :32] = 255
    for _ in range(3):
        writer.write(left)
    writer.release()
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    one = (1 << 16).to_bytes(4, "big")
    zero, minus = bytes(4), (-(1 << 16)).to_bytes(4, "big", signed=True)
    assert data[matrix : matrix + 8] == one + zero
    data[matrix : matrix + 20] = zero + one + zero + minus + zero  # a quarter turn clockwise
    path.write_bytes(data)
    return path


def test_a_film_that_was_taken_upright_is_shown_upright(tmp_path: Path) -> None:
    frames = [rgb for _, rgb in Frames(film(turned(tmp_path / "phone.mp4")))]
    assert len(frames) == 3 and frames[0].shape == (64, 48, 3)
    assert frames[0][:28].mean() > 200 and frames[0][36:].mean() < 50


def test_a_damaged_film_gives_what_it_has_and_says_where_it_ends(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.avi", 40)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = Frames(film(path))
    count = len(list(frames))
    assert 10 < count < 30
    assert frames.damage is not None and f"ends after frame {count} of 40" in frames.damage


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello" * 100, "not a film, or a damaged one"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n", "is a list of other files"),
        (b"ffconcat version 1.0\nfile a.avi\n", "is a list of other files"),
        (b"", "not a film, or a damaged one"),
        (None, "there is no such file"),
    ],
)
def test_what_is_no_film_is_named(
    tmp_path: Path, content: bytes | None, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        Frames(film(path))
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)
    assert count_frames(film(path), 1, None) == 0
    assert capfd.readouterr().err == "", "what the decoder says on its own would be no help"


def test_an_absent_camera_is_named() -> None:
    with pytest.raises(DataError, match="camera:97: there is no such camera"):
        Frames(Source("camera:97", "camera-97"))


def test_frames_made_ahead_are_the_same_few_at_a_time_and_errors_arrive() -> None:
    made: list[int] = []

    def frames() -> Iterator[Frame]:
        for number in range(50):
            made.append(number)
            yield number, np.zeros((1, 1, 3), np.uint8)
        raise DataError("damaged")

    taken = ahead(frames)
    assert [next(taken)[0] for _ in range(3)] == [0, 1, 2]
    assert len(made) < 15
    with pytest.raises(DataError, match="damaged"):
        list(taken)
    assert made == list(range(50))


def test_no_thread_stays_behind_when_enough_was_taken() -> None:
    ended = threading.Event()

    def frames() -> Iterator[tuple[int, Pixels]]:
        try:
            for number in range(10**9):
                yield number, np.zeros((1, 1, 3), np.uint8)
        finally:
            ended.set()

    taken = ahead(frames)
    next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert ended.wait(5)
