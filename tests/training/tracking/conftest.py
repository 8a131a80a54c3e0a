"""A run, fakes of the three libraries, and none of the user's settings for them."""

import os
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from tests.training.tracking.fakes import FakeMlflow, FakeWandb, FakeWriter
from toolkit.runs.folder import RunFolder


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # set by the code under test; undone afterwards
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[FakeWriter]:
    FakeWriter.made = []
    install(monkeypatch, "tensorboard")
    install(monkeypatch, "torch.utils.tensorboard", SummaryWriter=FakeWriter)
    return FakeWriter.made


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    install(
        monkeypatch,
        "wandb",
        init=fake.init,
        Settings=lambda **options: options,
        Image=lambda image: ("image", image.shape),
    )
    return fake


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    fake = FakeMlflow()
    install(monkeypatch, "mlflow", get_tracking_uri=lambda: "sqlite:////home/mlflow.db")
    install(monkeypatch, "mlflow.entities", Metric=lambda *parts: parts)
    install(monkeypatch, "mlflow.tracking", MlflowClient=fake.client)
    for name in ("sqlalchemy", "alembic"):
        install(monkeypatch, name)
    return fake


def install(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    module: Any = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, origin="a fake")
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)
