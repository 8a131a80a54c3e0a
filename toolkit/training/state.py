"""Where a training run stands: all that is needed to go on, and nothing that could be derived."""

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from toolkit.models.base import SegmentationModel
from toolkit.runs.config import TrainConfig


@dataclass
class State:
    """`epoch` and `step` name the next step to do; both count from 0.

    loss_sum      of the steps of the present epoch that counted, `good_steps` of them
    best_score    by config.metric, -1 before the first validation; best_epoch counts from 1
    best_counts   int64 (K, K) confusion matrix of the best epoch
    rows          of log.csv, whose header is `columns`
    world         processes that trained together
    micro         images at a time in each process; less than asked for after the memory was too small
    bad_steps     steps in a row whose loss was not finite
    lr_factor     on the learning rate; falls with every one of the `rewinds`
    skipped       stems of samples that could not be read
    seconds       of the present epoch, before it was interrupted
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    good_steps: int = 0
    best_score: float = -1.0
    best_epoch: int = 0
    best_counts: torch.Tensor | None = None
    columns: list[str] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    world: int = 1
    micro: int | None = None
    bad_steps: int = 0
    lr_factor: float = 1.0
    rewinds: int = 0
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0
    data_seconds: float = 0.0

    def is_patience_over(self, config: TrainConfig) -> bool:
        """Whether the score has not risen for `config.patience` epochs."""
        return config.patience > 0 and self.epoch - self.best_epoch >= config.patience


@dataclass(frozen=True)
class Engine:
    """The moving parts whose state is saved: model, running mean of its weights, optimizer, loss scaler."""

    model: SegmentationModel
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: AveragedModel | None = None

    @property
    def scored(self) -> SegmentationModel:
        """The model that is scored and saved."""
        if self.ema is None:
            return self.model
        averaged = self.ema.module
        assert isinstance(averaged, SegmentationModel)
        return averaged

    def freeze_state(self, state: State, fingerprint: str) -> dict[str, Any]:
        """Tensors and plain values for `save_state`."""
        return {
            "fingerprint": fingerprint,
            **vars(state),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> State:
        """Bring all parts to what was saved and return where the run stood.

        Raises KeyError, TypeError, ValueError or RuntimeError if they are of another model or optimizer.
        """
        self.model.load_state_dict(saved["model"])
        kinds = ["betas" in parts["param_groups"][0] for parts in (self.optimizer.state_dict(), saved["optimizer"])]
        if kinds[0] != kinds[1]:  # torch would take it, and fail at the next step
            raise ValueError("another optimizer")
        self.optimizer.load_state_dict(saved["optimizer"])
        if saved["scaler"] and self.scaler.is_enabled():  # a run may go on where another precision is the default
            self.scaler.load_state_dict(saved["scaler"])
        if self.ema is not None and saved["ema"] is not None:
            self.ema.load_state_dict(saved["ema"])
        return State(**{option.name: saved[option.name] for option in fields(State) if option.name in saved})
