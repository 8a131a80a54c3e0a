from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.training.tiny import Listener
from toolkit.training.textlog import TextLog


def clock(seconds: int = 0) -> Callable[[], datetime]:
    zone = timezone(timedelta(hours=2))
    return lambda: datetime(2026, 11, 21, 14, 0, seconds, 999, tzinfo=zone).astimezone(UTC)


def stamp() -> str:
    return clock()().astimezone().isoformat(timespec="seconds")


def test_all_that_was_said_is_in_the_log_with_its_time(tmp_path: Path) -> None:
    listener = Listener()
    log = TextLog(listener, clock())
    log.say("Dataset: coins")
    log.warn("a class is rare")
    log.write_to(tmp_path / "log.txt")
    log.say("epoch 1/2\n  and more")
    log.note("stopped")
    assert listener.said == ["Dataset: coins", "epoch 1/2\n  and more"]
    assert listener.warned == ["a class is rare"]
    lines = ["Dataset: coins", "warning: a class is rare", "epoch 1/2", "  and more", "stopped"]
    text = (tmp_path / "log.txt").read_bytes().decode()
    assert text == "".join(f"{stamp()}  {line}\n" for line in lines)
    assert datetime.fromisoformat(text.split()[0]) == datetime(2026, 11, 21, 12, tzinfo=UTC), "an offset is there"


def test_a_resumed_run_appends(tmp_path: Path) -> None:
    for line in ("first", "second 猫 \udcff"):
        log = TextLog(Listener(), clock())
        log.write_to(tmp_path / "log.txt")
        log.say(line)
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert [line.split("  ", 1)[1] for line in text.splitlines()] == ["first", r"second 猫 \udcff"]


def test_bars_are_passed_on_and_not_written(tmp_path: Path) -> None:
    calls: list[Any] = []

    class Bar(Listener):
        def begin(self, what: str, total: int | None) -> None:
            calls.append((what, total))

        def advance(self, note: str = "") -> None:
            calls.append(note)

        def end(self) -> None:
            calls.append("end")

    log = TextLog(Bar())
    log.write_to(tmp_path / "log.txt")
    assert list(log.track([5], "Validating", 1)) == [5]
    log.begin("Epoch 1", 2)
    log.advance("loss 0.5")
    log.end()
    assert calls == [("Validating", 1), "", "end", ("Epoch 1", 2), "loss 0.5", "end"]
    assert not (tmp_path / "log.txt").read_bytes()


def test_a_log_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    listener = Listener()
    log = TextLog(listener, clock())
    log.write_to(tmp_path / "gone" / "log.txt")
    log.say("first")
    (tmp_path / "gone").mkdir()
    log.say("second")
    assert listener.said == ["first", "second"]
    (warning,) = listener.warned
    assert "log.txt" in warning
    assert "No such file" in warning
    assert (tmp_path / "gone" / "log.txt").read_text() == f"{stamp()}  second\n", "it is tried again"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_stops_nothing() -> None:
    listener = Listener()
    log = TextLog(listener)
    log.write_to(Path("/dev/full"))
    for line in ("first", "second"):
        log.say(line)
    assert listener.said == ["first", "second"]
    (warning,) = listener.warned
    assert "No space left" in warning
