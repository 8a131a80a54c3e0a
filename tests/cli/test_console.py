"""What stands on standard error while something takes long."""

import pytest

from toolkit.cli.console import make_progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def test_lines_come_every_ten_seconds_with_an_estimate_also_within_a_large_piece(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = make_progress()
    progress.begin("Predicting", 4)
    for tile in range(1, 21):
        clock.now += 1.5
        progress.part(tile / 20, f"tile {tile} of 20")
    progress.advance()
    clock.now += 30.0
    progress.advance()
    clock.now += 60.0
    progress.advance()
    progress.advance()
    progress.end()
    assert capsys.readouterr().err.splitlines() == [
        "Predicting: 0 of 4, about 110 s left, tile 7 of 20",  # 10.5 s for 0.35 of 4
        "Predicting: 0 of 4, about 99 s left, tile 14 of 20",
        "Predicting: 2 of 4, about 60 s left",
        "Predicting: 3 of 4, about 40 s left",
    ]


def test_of_an_unknown_number_only_what_is_done_is_said(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = make_progress()
    progress.begin("Predicting", None)
    for _ in range(3):
        clock.now += 5.0
        progress.advance("a note")
    clock.now += 10.0
    progress.part(0.5, "tile 1 of 2")
    assert capsys.readouterr().err.splitlines() == ["Predicting: 2, a note", "Predicting: 3, tile 1 of 2"]
