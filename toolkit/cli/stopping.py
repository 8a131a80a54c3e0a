"""The first Ctrl-C or SIGTERM asks for a stop at the next good moment; the second stops at once."""

import signal
from collections.abc import Callable

from toolkit.cli.console import complain
from toolkit.training.launch import is_main, is_one_of_several


def stop_requests(answer: str) -> Callable[[], bool]:
    """What says whether a stop was asked for. Signals are caught from its first call on.

    answer   said when one is: what is finished first, and what a second one would do
    """
    asked: list[int] = []
    caught: list[int] = []

    def note(number: int, frame: object) -> None:
        if asked and not is_one_of_several():  # torchrun passes on what the terminal has sent to every process already
            raise KeyboardInterrupt
        asked.append(number)
        if is_main():
            complain(answer)

    def should_stop() -> bool:
        if not caught:  # before, while modules and the model are loaded, there is nothing to finish
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, note)
                caught.append(name)
        return bool(asked)

    return should_stop
