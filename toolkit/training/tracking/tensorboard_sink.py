"""TensorBoard."""

import importlib
from collections.abc import Mapping
from typing import Any

from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.tracking.sink import Images


class TensorBoardSink:
    """Event files in the run's own folder, by torch's writer: tensorboard's own one cannot hide repeated steps."""

    def __init__(self, run: RunFolder, config: TrainConfig, resumed: bool, reached: int) -> None:
        self.where = str(run.root / "tensorboard")
        module = importlib.import_module("torch.utils.tensorboard")
        self._writer: Any = module.SummaryWriter(self.where, purge_step=reached if resumed else None)
        if not reached:
            self._writer.add_text("config", "".join(f"    {line}\n" for line in config.to_yaml().splitlines()))

    def send(self, number: int, values: Mapping[str, float], images: Images) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, number)
        for name, image in images.items():
            self._writer.add_image(name, image, number, dataformats="HWC")
        self._writer.flush()

    def close(self, finished: bool) -> None:
        self._writer.close()
