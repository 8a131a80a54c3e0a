"""Where a training run stands: all that is needed to go on, and nothing that could be derived."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from toolkit.runs.checkpoint import FORMAT
from toolkit.runs.config import TrainConfig
from toolkit.training.plan import Plan


@dataclass
class State:
    """`epoch` and `step` name the next step to do; both count from 0.

    loss_sum      of the steps of the present epoch
    best_miou     -1 before the first validation; best_epoch counts from 1
    best_counts   int64 (K, K) confusion matrix of the best epoch
    rows          of log.csv
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best_miou: float = -1.0
    best_epoch: int = 0
    best_counts: torch.Tensor | None = None
    rows: list[list[float]] = field(default_factory=list)

    def is_patience_over(self, config: TrainConfig) -> bool:
        """Whether the score has not risen for `config.patience` epochs."""
        return config.patience > 0 and self.epoch - self.best_epoch >= config.patience


@dataclass(frozen=True)
class Engine:
    """The moving parts whose state is saved: model, optimizer, loss scaler."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    def freeze_state(self, state: State, plan: Plan) -> dict[str, Any]:
        """Tensors and plain values for `save_state`."""
        return {
            "format": FORMAT,
            "fingerprint": plan.fingerprint,
            **vars(state),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> State:
        """Bring model, optimizer and scaler to what was saved and return where the run stood."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        return replace(State(), **{name: saved[name] for name in vars(State())})
