"""Weights together with all that predicting needs: model, classes, preprocessing, options, scores.

A checkpoint is one .safetensors file: tensors, and JSON in its metadata, which holds a checksum of both. Nothing in it
can run code.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from toolkit.data.preprocess import Preprocess
from toolkit.errors import CheckpointError, DataError, UsageError
from toolkit.files import write_bytes
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.build import build_model
from toolkit.models.entry import refuse_own_code
from toolkit.runs.config import TrainConfig
from toolkit.runs.integrity import checksum, require_file

FORMAT = 1
_KEY = "seg"
_CHECKSUM = "crc32"


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
        """Write atomically and durably: a kill at any moment leaves the previous file.

        Raises SegError with the file's name if it cannot be written, CheckpointError if the contents cannot be saved.
        """
        about = {
            "format": FORMAT,
            "config": self.config.as_dict(),
            "spec": asdict(self.spec),
            "classes": list(self.classes.names),
            "preprocess": self.preprocess.as_dict(),
            "progress": self.progress,
        }
        try:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
            # beside the rest: of several entries of metadata, safetensors writes now one first and now the other
            about[_CHECKSUM] = checksum(json.dumps(about), tensors)
            data = save(tensors, {_KEY: json.dumps(about)})
        except Exception as error:  # torch, json and safetensors each raise their own for what they cannot hold
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(f"{path}: cannot be saved ({reason[:300]}). The previous file is kept.") from error
        write_bytes(path, data, durable=True)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a file written by `save`. Raises CheckpointError naming the file and what is wrong with it."""
        require_file(path, "there is no such checkpoint.")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except Exception as error:  # beside its own errors it raises those of Unicode and of types torch lacks
            raise CheckpointError(f"{path}: not a checkpoint or a damaged one ({error}). Use another one.") from None
        if _KEY not in metadata:
            raise CheckpointError(
                f"{path}: holds weights, but was not written by seg: it names no model and no classes."
            )
        try:
            about = json.loads(metadata[_KEY])
            written = about.pop(_CHECKSUM, None)  # none: of an older version
            if about.get("format") == FORMAT and written not in (None, checksum(json.dumps(about), weights)):
                raise CheckpointError(f"{path}: damaged, its checksum does not fit. Use another one.")
            return cls._from(about, weights, path)
        except (DataError, UsageError) as error:
            raise CheckpointError(f"{path}: its description is damaged ({error}). Use another checkpoint.") from None
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path}: its description is damaged ({error!r}). Use another checkpoint.") from None

    @classmethod
    def _from(cls, about: dict[str, Any], weights: dict[str, torch.Tensor], path: Path) -> "Checkpoint":
        if about.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: has format {about.get('format')}, this version reads {FORMAT}. Update seg-toolkit."
            )
        spec, classes = ModelSpec(**about["spec"]), ClassMap.from_stored(about["classes"])
        if not all(
            type(number) is int and number > 0
            for number in (spec.classes, spec.in_channels, spec.width or 1, spec.upscale)
        ):
            raise TypeError(f"{spec}")
        preprocess = Preprocess.from_dict(about["preprocess"])
        if preprocess.upscale != spec.upscale:
            raise ValueError(f"upscale {preprocess.upscale} and {spec.upscale}")
        return cls(
            config=TrainConfig.from_dict(about["config"], "config"),
            spec=spec,
            classes=classes,
            preprocess=preprocess,
            weights=weights,
            progress=about["progress"],
        )

    def build(self, *, allow_code: bool = False) -> SegmentationModel:
        """The model with these weights, in evaluation mode, on the CPU.

        A model of the user's own (`py:module:callable`) runs that code, which has to be allowed: nothing that a file
        names is imported unasked. Raises CheckpointError for it, for a model that there is not or that cannot be built
        here, or if the weights do not fit.
        """
        spec, name = self.spec, self.config.model
        if not allow_code:
            refuse_own_code(name)
        try:
            model = build_model(
                name, spec.classes, in_channels=spec.in_channels, width=spec.width, upscale=spec.upscale
            )
            model.load_state_dict(self.weights)
        except UsageError as error:
            raise CheckpointError(f"its model, {name}, cannot be built: {error}") from None
        except RuntimeError as error:
            raise CheckpointError(
                f"the weights do not fit {self.config.model}: {str(error).splitlines()[-1].strip()}"
            ) from None
        return model.eval()
