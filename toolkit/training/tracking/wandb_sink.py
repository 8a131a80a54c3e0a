"""Weights & Biases."""

import importlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.tracking.notes import read_note, write_note
from toolkit.training.tracking.sink import PROJECT, Images


class WandbSink:
    """One W&B run for a training, however often it is resumed: its id is in tracking.json."""

    def __init__(self, run: RunFolder, config: TrainConfig, resumed: bool, reached: int) -> None:
        wandb = importlib.import_module("wandb")
        self._wandb: Any = wandb
        self._run_folder = run
        noted = read_note(run, "wandb") if resumed else {}
        self._id = str(noted.get("id") or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(8))
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=self._id,
            resume="allow",
            name=os.environ.get("WANDB_NAME") or run.root.name,
            dir=os.environ.get("WANDB_DIR") or str(run.root),
            config=config.as_dict(),
            settings=wandb.Settings(console="off", init_timeout=60, login_timeout=60),  # what is said is in log.txt
        )
        # the server knows better than we what has arrived; offline there is none
        self._last = self._run.step - 1 if self._run.resumed else int(noted.get("epoch", 0))
        write_note(run, "wandb", {"id": self._id, "epoch": self._last})
        folder = Path(self._run.dir).parent
        self.where = f"offline; upload with: wandb sync {folder}" if self._run.offline else str(self._run.url)

    def send(self, number: int, values: Mapping[str, float], images: Images) -> None:
        if number <= self._last:
            return
        pictures = {name: self._wandb.Image(image) for name, image in images.items()}
        self._run.log({"epoch": number, **values, **pictures}, step=number)
        self._last = number
        write_note(self._run_folder, "wandb", {"id": self._id, "epoch": number})

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)
