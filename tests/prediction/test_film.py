"""Films, read back with OpenCV."""

import resource
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from toolkit.errors import DataError, RunError, UsageError
from toolkit.prediction.films.writer import LARGEST_SIDE, FilmWriter

Pixels = npt.NDArray[np.uint8]


def frame(size: tuple[int, int], number: int) -> Pixels:
    """A picture of one colour that tells its number; red and blue differ."""
    return np.full((*size, 3), (200, 20 * number, 60), np.uint8)


def write(path: Path, count: int, size: tuple[int, int] = (48, 64), fps: float = 25) -> list[Pixels]:
    with FilmWriter(path, fps, size) as film:
        for number in range(count):
            film.add(frame(size, number))
    return frames(path)


def frames(path: Path) -> list[Pixels]:
    """Every picture of a film as RGB."""
    film, found = cv2.VideoCapture(str(path)), []
    while (got := film.read())[0]:
        found.append(np.asarray(cv2.cvtColor(got[1], cv2.COLOR_BGR2RGB), np.uint8))
    film.release()
    return found


@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (1, 1), (1, 40), (31, 3)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 9])
def test_every_picture_comes_back_in_its_place(tmp_path: Path, size: tuple[int, int], count: int) -> None:
    found = write(tmp_path / "new" / "film.mp4", count, size)
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert [picture.shape for picture in found] == [(*even, 3)] * count
    for number, picture in enumerate(found):
        assert np.abs(picture.astype(int) - frame(even, number)).max() <= 12
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["film.mp4"]


def test_an_odd_side_repeats_its_last_row_and_column(tmp_path: Path) -> None:
    picture = np.zeros((33, 47, 3), np.uint8)
    picture[:, 40:] = 255
    with FilmWriter(tmp_path / "film.mp4", 25, (33, 47)) as film:
        film.add(picture)
    (found,) = frames(tmp_path / "film.mp4")
    assert found.shape == (34, 48, 3)
    assert found[:, -1].min() > 230
    assert found[-1, 40:].min() > 230
    assert found[:, :39].max() < 25


@pytest.mark.parametrize("fps", [0.01, 1 / 3, 24000 / 1001, 25, 30000 / 1001, 60000 / 1001, 66.6666, 239.76, 1000])
def test_the_rate_is_kept(tmp_path: Path, fps: float) -> None:
    write(tmp_path / "film.mp4", 3, (16, 16), fps)
    film = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, abs=0.0006 if fps < 65 else 0.006)
    film.release()


def test_until_it_is_complete_the_film_of_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write(path, 2)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), FilmWriter(path, 25, (48, 64)) as film:
        film.add(frame((48, 64), 0))
        (partial,) = set(tmp_path.iterdir()) - {path}
        assert partial.name.endswith(".partial.mp4")
        _ = 1 / 0
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert len(write(path, 5)) == 5


def test_a_film_without_pictures_is_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no picture"), FilmWriter(tmp_path / "film.mp4", 25, (48, 64)):
        pass
    assert not list(tmp_path.iterdir())


def test_closing_or_giving_up_once_more_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with FilmWriter(path, 25, (48, 64)) as film:
        film.add(frame((48, 64), 0))
        assert film.close() == path
        film.abort()
    assert len(frames(path)) == 1


def test_pictures_are_neither_changed_nor_taken_in_another_size(tmp_path: Path) -> None:
    picture = frame((48, 64), 3)
    picture.setflags(write=False)
    with FilmWriter(tmp_path / "film.mp4", 25, (48, 64)) as film:
        film.add(picture)
        wrong: tuple[Any, ...] = (frame((48, 66), 0), frame((64, 48), 0), picture[..., 0], picture.astype(np.float32))
        for bad in wrong:
            with pytest.raises(DataError, match="is needed"):
                film.add(bad)
    assert len(frames(tmp_path / "film.mp4")) == 1
    assert np.array_equal(picture, frame((48, 64), 3))


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 90_000.0])
def test_rates_that_no_film_has(tmp_path: Path, fps: float) -> None:
    with pytest.raises(UsageError, match=r"fps: 0\.01 to 1000"):
        FilmWriter(tmp_path / "film.mp4", fps, (48, 64))


def test_what_no_film_can_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4"):
        FilmWriter(tmp_path / "film.avi", 25, (48, 64))
    for size in ((0, 5), (LARGEST_SIDE + 1, 16)):
        with pytest.raises(DataError, match="sides"):
            FilmWriter(tmp_path / "film.mp4", 25, size)
    assert not list(tmp_path.iterdir())
    with FilmWriter(tmp_path / "wide.mp4", 25, (16, LARGEST_SIDE)) as film:
        film.add(np.zeros((16, LARGEST_SIDE, 3), np.uint8))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        FilmWriter(tmp_path / "file" / "film.mp4", 25, (48, 64))


def test_a_name_that_looks_like_an_address_or_a_pattern_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4", "%03d.mp4", "http:x/é 🚗.mp4", "-y.MP4"):
        with FilmWriter(Path(name), 25, (16, 16)) as film:
            film.add(frame((16, 16), 1))
        assert Path(name).stat().st_size > 0
    assert len(list(tmp_path.iterdir())) == 4


def test_a_film_that_did_not_fit_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)  # stands for a full disk: writing fails, and nobody is told
    film = FilmWriter(tmp_path / "film.mp4", 25, (200, 200))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        for _ in range(30):
            film.add(rng.integers(0, 256, (200, 200, 3)).astype(np.uint8))
        with pytest.raises(RunError, match="Free space"):
            film.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_is_noticed_at_the_next_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="disk is full"), FilmWriter(tmp_path / "film.mp4", 25, (48, 64)) as film:
        film.add(frame((48, 64), 0))
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
        film.add(frame((48, 64), 1))
    assert not list(tmp_path.iterdir())


def test_a_build_without_the_encoder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.prediction.films.writer.cv2.VideoWriter", _Closed)
    with pytest.raises(RunError, match="cannot encode mp4v"):
        FilmWriter(tmp_path / "film.mp4", 25, (48, 64))
    assert not list(tmp_path.iterdir())


class _Closed:
    """A writer of a build of OpenCV without encoders."""

    def __init__(self, *arguments: object) -> None:
        pass

    @staticmethod
    def fourcc(*letters: str) -> int:
        return 0

    def isOpened(self) -> bool:  # noqa: N802
        return False

    def release(self) -> None:
        pass
