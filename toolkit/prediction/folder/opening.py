"""How a call comes into its folder, which it makes, shares or finds begun; and how it leaves what is unfinished."""

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import SegError, UsageError
from toolkit.files import new_folder, numbered_folder
from toolkit.prediction.folder.beginning import USUAL, options_of
from toolkit.prediction.folder.fingerprint import checksum_of
from toolkit.prediction.folder.journal import MERGED, journals_in, read_lines
from toolkit.prediction.folder.locks import busy, hold, require_no_others, require_no_single_call
from toolkit.prediction.folder.manifest import require_same, write_manifest
from toolkit.prediction.folder.outfolder import (
    remove_old_partial_files,
    remove_partial_files_below,
    share_folder,
    take_back,
)
from toolkit.prediction.folder.standing import gather, standing
from toolkit.prediction.plan import Plan
from toolkit.prediction.share import Shard, Share
from toolkit.runs.folder import RUNS
from toolkit.runs.manifest import read_manifest


@dataclass(frozen=True)
class Begun:
    """A folder in which a run goes on or begins.

    about    what its manifest says of the call
    done     for each source 1 if it need not be predicted; grows when more of them are found
    before   how many sources were finished when the call came
    made     begun by this call, which may take it back
    empty    the folder was there before, with nothing in it
    """

    root: Path
    about: dict[str, Any]
    done: bytearray
    before: int
    made: bool
    empty: bool = False


class Opening:
    """The way of a call into its folder and, where it ends before its time, out of it."""

    def __init__(self, plan: Plan, share: Share) -> None:
        self._plan, self._request, self._share = plan, plan.request, share
        self._names = plan.sources.labels

    def asked(self) -> dict[str, Any]:
        """What the manifest says of the call before the model is loaded; the same for every process and shard."""
        plan = self._plan
        return {
            "sources": list(plan.sources.given),
            "root": plan.sources.root,
            "checkpoint": str(plan.checkpoint),
            "checksum": checksum_of(plan.checkpoint),
            "options": options_of(self._request),
            "save": {key: list(value) for key, value in asdict(plan.kinds).items() if value},
        }

    def require_fit(self, asked: dict[str, Any]) -> None:
        """Refuse what does not go together with a run that was begun in the folder; nothing there is changed.

        Raises UsageError, or DataError if there is nothing to go on with.
        """
        root, shard = self._plan.out, self._plan.shard
        if root is None or not (self._request.resume or shard is not None):
            return
        if shard is None:
            require_same(root, asked, USUAL)
        elif read_manifest(root) is not None:
            share_folder(root, resume=self._request.resume)
            self._require_own(root, shard, asked)

    def begin(self, about: dict[str, Any], holding: ExitStack) -> Begun:
        """Make the folder, share it or go on in it. Asked of the main process.

        about     `asked`, and what is known since the model is loaded
        holding   takes the lock of who works alone

        Raises UsageError or DataError for a folder that does not fit, SegError if others are at work there or it cannot
        be written; a folder that was made is gone then.
        """
        root, shard = self._plan.out, self._plan.shard
        if root is not None and shard is not None:
            return self._join(root, shard, about)
        if root is not None and self._request.resume:
            return self._go_on(root, about, holding)
        return self._make(about, holding)

    def take_place(self, root: Path, holding: ExitStack) -> Path:
        """The journal of this process, held from now on. Raises SegError if others are at work."""
        own, in_shards = self._share.journal(root), self._plan.shard is not None
        if in_shards or own.name != MERGED:  # else it is held from the beginning
            holding.enter_context(hold(own))
        if in_shards and own.name != MERGED:
            require_no_single_call(root)
        return own

    def leave(self, begun: Begun, *, others_write: bool = False) -> int | None:
        """How many sources are finished in the folder of a run that was not brought to its end.

        others_write   other processes of this call may still be at work: nothing is taken back
        None: it was taken back, for this call made it and nothing was finished.
        """
        lines = (line for path in journals_in(begun.root) for _, line in read_lines(path))
        if begun.made and not others_write and all(line.failure is not None for line in lines):
            take_back(begun.root, self._plan.kinds.all, was_there=begun.empty)
            return None
        return sum(standing(begun.root, self._names))

    def _join(self, root: Path, shard: Shard, about: dict[str, Any]) -> Begun:
        resume = self._request.resume
        share_folder(root, resume=resume)
        if read_manifest(root) is None:
            self._note(root, about | {"shards": self._shards})
        self._require_own(root, shard, about)
        done = standing(root, self._names) if resume else bytearray(len(self._names))
        return Begun(root, about, done, sum(done), made=False)

    def _go_on(self, root: Path, about: dict[str, Any], holding: ExitStack) -> Begun:
        require_same(root, about, USUAL)
        with hold(root / MERGED):
            require_no_others(root)
            remove_partial_files_below(root)
            if self._request.beside:
                remove_old_partial_files({os.path.dirname(source.place) for source in self._plan.sources})  # noqa: PTH120
        gather(root, self._names, busy(root))  # not while its file is held: Windows replaces none that is open
        holding.enter_context(hold(root / MERGED))
        require_no_others(root)
        done = standing(root, self._names)
        # who the work was divided between is needed until it is done: the shards are not to be taken for strangers
        divided = {key: value for key, value in (read_manifest(root) or {}).items() if key == "shards"}
        self._note(root, about | divided)
        return Begun(root, about, done, sum(done), made=False)

    def _make(self, about: dict[str, Any], holding: ExitStack) -> Begun:
        out = self._plan.out
        empty = out is not None and out.exists()
        root = new_folder(out) if out is not None else numbered_folder(RUNS, "predict")
        holding.enter_context(hold(root / MERGED))  # if another call was first, what is there is its
        try:
            self._note(root, about)
        except SegError:
            take_back(root, was_there=empty)
            raise
        return Begun(root, about, bytearray(len(self._names)), 0, made=True, empty=empty)

    @property
    def _shards(self) -> dict[str, Any]:
        return {"of": self._share.parts, "sources": len(self._names), "checksum": self._plan.sources.checksum}

    def _require_own(self, root: Path, shard: Shard, about: dict[str, Any]) -> None:
        """Refuse a shard that is not of the same work, or was begun."""
        require_same(root, about | {"shards": self._shards}, USUAL)
        if not self._request.resume and any(path.exists() for path in self._share.journals(root)):
            raise UsageError(
                f"{root}: shard {shard.number}/{shard.of} was begun there already. Go on with it: --continue, or choose "
                "another --out."
            )

    @staticmethod
    def _note(root: Path, about: dict[str, Any]) -> None:
        write_manifest(root, {"out": str(root), **about, "finished": False})
