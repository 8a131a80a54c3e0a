"""What a service is given, and what it must do with it."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

Images = Mapping[str, npt.NDArray[np.uint8]]
"""Name -> uint8 (H, W, 3) RGB."""

PROJECT = "seg"
"""W&B project and MLflow experiment, where WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME name no other."""


class Sink(Protocol):
    """One service, for one run. Whatever it raises ends it, as a warning.

    where   told to the user: where the figures will be found
    """

    where: str

    def send(self, number: int, values: Mapping[str, float], images: Images) -> None:
        """Show an epoch, counted from 1; values are finite and named by `tidy`."""

    def close(self, finished: bool) -> None:
        """Send what is left. `finished` is false if the run is to be resumed."""
