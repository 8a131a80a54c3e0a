"""A process whose companion is gone."""

import pytest
import torch

from toolkit.errors import RunError, StoppedWithOthers
from toolkit.training.group import Group


@pytest.mark.parametrize("text", ["[gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:1", "writev: Broken pipe"])
def test_who_is_left_alone_says_so_once(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def gone(*_: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr("torch.distributed.all_reduce", gone)
    with pytest.raises(RunError, match="another process that shares the work is gone"):
        Group(0, 2).any(False)
    with pytest.raises(StoppedWithOthers) as stopped:
        Group(1, 2).agree(None)
    assert stopped.value.exit_code == 1


def test_other_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise RuntimeError("tensors of other sizes")

    monkeypatch.setattr("torch.distributed.all_reduce", wrong)
    with pytest.raises(RuntimeError, match="other sizes"):
        Group(1, 2).sum(torch.zeros(2))
