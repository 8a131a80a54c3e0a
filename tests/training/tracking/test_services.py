import importlib.util
from pathlib import Path

import pytest

from tests.training.tracking.fakes import FakeMlflow, FakeWandb, FakeWriter
from toolkit.errors import UsageError
from toolkit.training.tracking import services
from toolkit.training.tracking.services import check_track


def test_names_are_read_with_commas_and_once(writers: list[FakeWriter], wandb: FakeWandb) -> None:
    assert check_track("wandb, TensorBoard,wandb") == ("wandb", "tensorboard")


def test_an_unknown_name_gets_the_closest_one(writers: list[FakeWriter]) -> None:
    with pytest.raises(UsageError, match=r"track: 'tensorbord' is not known. Did you mean 'tensorboard'\?"):
        check_track("tensorboard,tensorbord")
    with pytest.raises(UsageError, match="none goes with no other name, got 'none,tensorboard'"):
        check_track("none,tensorboard")


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        check_track("wandb")
    assert "wandb" in str(caught.value)
    assert "uv sync --extra track" in str(caught.value)
    assert 'pip install "seg-toolkit[track]"' in str(caught.value)


def test_a_folder_of_that_name_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "seg_no_such_library").mkdir()
    monkeypatch.setitem(services.LIBRARIES, "wandb", ("seg_no_such_library",))
    with pytest.raises(UsageError, match="not installed"):
        check_track("wandb")


def test_mlflow_needs_a_database_only_where_there_is_no_server(
    mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(services.LIBRARIES, "mlflow", ("mlflow",))
    monkeypatch.setattr(services, "_MLFLOW_STORE", ("seg_no_such_library",))
    with pytest.raises(UsageError, match="seg_no_such_library"):
        check_track("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    assert check_track("mlflow") == ("mlflow",)
