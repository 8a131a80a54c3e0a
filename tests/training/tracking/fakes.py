"""The three libraries, as far as they are used."""

from types import SimpleNamespace
from typing import Any

from tests.training.tracking.epochs import values


class FakeWriter:
    """torch's SummaryWriter, as far as it is used."""

    made: list["FakeWriter"]

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: dict[int, dict[str, float]] = {}
        self.images: list[tuple[str, tuple[int, ...], int, str]] = []
        self.text, self.flushed, self.closed = "", 0, False
        FakeWriter.made.append(self)

    def add_text(self, tag: str, text: str) -> None:
        self.text = text

    def add_scalar(self, name: str, value: float, step: int) -> None:
        if value == values(1)["train_loss"] * 7:
            raise OSError("No space left on device")
        self.scalars.setdefault(step, {})[name] = value

    def add_image(self, name: str, image: Any, step: int, dataformats: str) -> None:
        self.images.append((name, image.shape, step, dataformats))

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        self.closed = True


class FakeWandb:
    """One server: what arrives is kept by run id, and a step that is not above the last one is ignored, as W&B does."""

    def __init__(self) -> None:
        self.inits: list[dict[str, Any]] = []
        self.history: dict[str, dict[int, dict[str, Any]]] = {}
        self.ended: list[int] = []
        self.offline = False

    def init(self, **options: Any) -> Any:
        self.inits.append(options)
        known = {} if self.offline else self.history.get(options["id"], {})
        history = self.history.setdefault(options["id"], {})

        def log(data: dict[str, Any], step: int) -> None:
            assert step not in history, "sent twice"
            history[step] = data

        def finish(exit_code: int) -> None:
            self.ended.append(exit_code)

        return SimpleNamespace(
            step=max(known) + 1 if known else 0,
            resumed=bool(known),
            offline=self.offline,
            url="https://tracking.example/run",
            dir=f"{options['dir']}/wandb/offline-run/files",
            log=log,
            finish=finish,
        )


class FakeMlflow:
    """A store of runs, with the names of MLflow's client; metrics are appended, never replaced, as there."""

    def __init__(self) -> None:
        self.stores: list[str] = []
        self.experiments: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.metrics: dict[str, list[tuple[str, float, int]]] = {}
        self.params: dict[str, Any] = {}
        self.status: list[str] = []
        self.artifacts: list[str] = []

    def client(self, tracking_uri: str) -> "FakeMlflow":
        self.stores.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        return self.experiments.setdefault(name, "7")

    def create_run(self, experiment: str, run_name: str) -> Any:
        assert experiment == "7"
        key = f"run-{len(self.names)}"
        self.names[key], self.metrics[key] = run_name, []
        return SimpleNamespace(info=SimpleNamespace(run_id=key))

    def update_run(self, key: str, status: str) -> None:
        self.status.append(f"{key} {status}")

    def set_terminated(self, key: str, status: str) -> None:
        self.status.append(f"{key} {status}")

    def log_param(self, key: str, name: str, value: Any) -> None:
        self.params[name] = value

    def get_metric_history(self, key: str, name: str) -> list[Any]:
        return [SimpleNamespace(step=step) for metric, _, step in self.metrics[key] if metric == name]

    def log_batch(self, key: str, metrics: list[tuple[str, float, int, int]]) -> None:
        self.metrics[key] += [(name, value, step) for name, value, _, step in metrics]

    def log_image(self, key: str, image: Any, artifact_file: str) -> None:
        self.artifacts.append(artifact_file)
