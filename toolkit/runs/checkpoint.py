"""Weights together with all that predicting needs: model, classes, preprocessing, options, scores.

A checkpoint is one .safetensors file: tensors, and JSON in its metadata. Nothing in it can run code.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from toolkit.data.preprocess import Preprocess
from toolkit.errors import CheckpointError, DataError, UsageError
from toolkit.files import write_bytes, writing
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.build import build_model
from toolkit.runs.config import TrainConfig

FORMAT = 1
_KEY = "seg"


@dataclass(frozen=True)
class Checkpoint:
    """A trained model at rest.

    weights    state dict of the model, float32 on the CPU
    progress   epoch, and the scores on the validation images at that epoch
    """

    config: TrainConfig
    spec: ModelSpec
    classes: ClassMap
    preprocess: Preprocess
    weights: dict[str, torch.Tensor]
    progress: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write atomically and durably: a kill at any moment leaves the previous file."""
        about = {
            "format": FORMAT,
            "config": self.config.as_dict(),
            "spec": asdict(self.spec),
            "classes": list(self.classes.names),
            "preprocess": self.preprocess.as_dict(),
            "progress": self.progress,
        }
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        write_bytes(path, save(tensors, {_KEY: json.dumps(about)}), durable=True)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a file written by `save`. Raises CheckpointError naming the file and what is wrong with it."""
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such checkpoint.")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: not a checkpoint or a damaged one ({error}). Use another one.") from None
        if _KEY not in metadata:
            raise CheckpointError(
                f"{path}: holds weights, but was not written by seg: it names no model and no classes."
            )
        try:
            return cls._from(json.loads(metadata[_KEY]), weights, path)
        except (KeyError, TypeError, ValueError, AttributeError, DataError, UsageError) as error:
            raise CheckpointError(f"{path}: its description is damaged ({error!r}). Use another checkpoint.") from None

    @classmethod
    def _from(cls, about: dict[str, Any], weights: dict[str, torch.Tensor], path: Path) -> "Checkpoint":
        if about.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: has format {about.get('format')}, this version reads {FORMAT}. Update seg-toolkit."
            )
        return cls(
            config=TrainConfig.from_dict(about["config"], "config"),
            spec=ModelSpec(**about["spec"]),
            classes=ClassMap(tuple(about["classes"])),
            preprocess=Preprocess.from_dict(about["preprocess"]),
            weights=weights,
            progress=about["progress"],
        )

    def build(self) -> SegmentationModel:
        """The model with these weights, in evaluation mode, on the CPU. Raises CheckpointError if they do not fit."""
        spec = self.spec
        model = build_model(self.config.model, spec.classes, in_channels=spec.in_channels, width=spec.width)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"the weights do not fit {self.config.model}: {str(error).splitlines()[-1].strip()}"
            ) from None
        return model.eval()


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write what resuming needs, atomically and durably; tensors and plain values only."""
    with writing(path, durable=True) as file:
        torch.save(state, file)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, without unpickling objects. Raises CheckpointError naming the file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no saved state. The run stopped before its first save; start it anew.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parser meets: pickle, zip, struct and runtime errors
        raise CheckpointError(f"{path}: cannot be read ({type(error).__name__}). Start the run anew.") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a state of this version of seg. Start the run anew.")
    return state
