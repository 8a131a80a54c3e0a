"""Who is at work in a folder.

Each process holds its own journal. Who works alone on all of it holds the merged one, from the beginning to the end;
shards only ask for that one, each for a moment.
"""

import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

from toolkit.errors import SegError
from toolkit.files import held
from toolkit.prediction.folder.journal import MERGED, journals_in

_ATTEMPTS, _PAUSE = 6, 0.02  # the pause, in seconds, grows with each attempt


def busy(root: Path) -> str:
    """What is said if another process is at work."""
    return f"{root}: another process is predicting into this folder. Wait for it or stop it."


def hold(journal: Path) -> AbstractContextManager[None]:
    """Hold a journal while the block runs. Raises SegError if another process holds it."""
    return held(journal, busy(journal.parent))


def require_no_others(root: Path, own: Collection[Path] = ()) -> None:
    """Raise SegError if one of several processes is at work.

    own   journals of this call, which it holds itself
    """
    for path in journals_in(root)[1:]:
        if path not in own:
            with hold(path):
                pass


def require_no_single_call(root: Path) -> None:
    """Raise SegError if one call is at work on all of it. Another shard that asks just now is waited for."""
    path = root / MERGED
    for attempt in range(_ATTEMPTS):
        try:
            if path.exists():
                with hold(path):
                    return
            return
        except SegError:
            if attempt + 1 == _ATTEMPTS:
                raise
            time.sleep(_PAUSE * (attempt + 1))
