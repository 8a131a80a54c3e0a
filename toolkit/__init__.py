"""seg: from a folder annotated with labelme to a trained segmentation model and its predictions.

import toolkit

toolkit.convert("photos")                       # labelme JSON -> datasets/VOCdevkit/VOC2007
toolkit.split(ratio=0.9)
run = toolkit.train(toolkit.TrainConfig(epochs=50))
prediction = toolkit.load(run.best).predict("photo.jpg")
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from toolkit.audit.check import check as check
    from toolkit.audit.report import AuditReport as AuditReport
    from toolkit.conversion.convert import convert as convert
    from toolkit.conversion.options import LabelOptions as LabelOptions
    from toolkit.conversion.report import ConvertReport as ConvertReport
    from toolkit.errors import SegError as SegError
    from toolkit.losses.class_weights import ClassWeights as ClassWeights
    from toolkit.losses.class_weights import class_weights as class_weights
    from toolkit.models.build import build_model as build_model
    from toolkit.prediction.options import PredictOptions as PredictOptions
    from toolkit.prediction.prediction import Prediction as Prediction
    from toolkit.prediction.predictor import Predictor as Predictor
    from toolkit.prediction.predictor import load as load
    from toolkit.prediction.report import PredictReport as PredictReport
    from toolkit.prediction.run import predict as predict
    from toolkit.prediction.writers.options import WriteOptions as WriteOptions
    from toolkit.runs.config import TrainConfig as TrainConfig
    from toolkit.splitting.result import Split as Split
    from toolkit.splitting.split import split as split
    from toolkit.tally.statistics import statistics as statistics
    from toolkit.training.run import TrainReport as TrainReport
    from toolkit.training.run import train as train

# looked up on first use: `import toolkit` costs nothing, and convert and split never import torch
_HOMES = {
    "AuditReport": "toolkit.audit.report",
    "ClassWeights": "toolkit.losses.class_weights",
    "ConvertReport": "toolkit.conversion.report",
    "LabelOptions": "toolkit.conversion.options",
    "PredictReport": "toolkit.prediction.report",
    "PredictOptions": "toolkit.prediction.options",
    "Prediction": "toolkit.prediction.prediction",
    "Predictor": "toolkit.prediction.predictor",
    "SegError": "toolkit.errors",
    "Split": "toolkit.splitting.result",
    "TrainConfig": "toolkit.runs.config",
    "TrainReport": "toolkit.training.run",
    "WriteOptions": "toolkit.prediction.writers.options",
    "build_model": "toolkit.models.build",
    "check": "toolkit.audit.check",
    "class_weights": "toolkit.losses.class_weights",
    "convert": "toolkit.conversion.convert",
    "load": "toolkit.prediction.predictor",
    "predict": "toolkit.prediction.run",
    "split": "toolkit.splitting.split",
    "statistics": "toolkit.tally.statistics",
    "train": "toolkit.training.run",
}

__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'toolkit' has no attribute '{name}'")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
