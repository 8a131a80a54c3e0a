"""MLflow."""

import importlib
import os
import time
from collections.abc import Mapping
from typing import Any

from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.tracking.notes import read_note, write_note
from toolkit.training.tracking.sink import PROJECT, Images


class MlflowSink:
    """One MLflow run for a training; without MLFLOW_TRACKING_URI where mlflow itself looks: mlflow.db in this folder.

    A store in the run's folder would hold one run, and nothing to compare it with.
    """

    def __init__(self, run: RunFolder, config: TrainConfig, resumed: bool, reached: int) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 of a server that is away take minutes
        mlflow = importlib.import_module("mlflow")
        self._metric: Any = importlib.import_module("mlflow.entities").Metric
        noted = read_note(run, "mlflow") if resumed else {}
        uri = os.environ.get("MLFLOW_TRACKING_URI") or noted.get("store") or mlflow.get_tracking_uri()
        self._client: Any = importlib.import_module("mlflow.tracking").MlflowClient(tracking_uri=uri)
        self._last = 0
        if noted.get("run"):
            self._id = str(noted["run"])
            history = self._client.get_metric_history(self._id, "epoch")
            self._last = max((metric.step for metric in history), default=0)
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._client.create_run(self._experiment(), run_name=run.root.name).info.run_id
            for name, value in config.as_dict().items():
                self._client.log_param(self._id, name, value)
        # the address of a server may hold a password, so only that of a file is noted
        store = {} if os.environ.get("MLFLOW_TRACKING_URI") else {"store": uri}
        write_note(run, "mlflow", {"run": self._id, **store})
        self.where = f"run {self._id}" + (f" in {uri}" if store else "")

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        known = self._client.get_experiment_by_name(name)
        return str(known.experiment_id if known else self._client.create_experiment(name))

    def send(self, number: int, values: Mapping[str, float], images: Images) -> None:
        if number <= self._last:
            return
        now = time.time_ns() // 1_000_000
        metrics = [self._metric(name, value, now, number) for name, value in {**values, "epoch": number}.items()]
        self._client.log_batch(self._id, metrics=metrics)
        for name, image in images.items():
            self._client.log_image(self._id, image, artifact_file=f"{name}/epoch_{number:04}.png")
        self._last = number

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")
