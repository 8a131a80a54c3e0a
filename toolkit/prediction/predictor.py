"""Checkpoint -> masks. Knows nothing of datasets: classes, size and normalisation come from the checkpoint alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from toolkit.data.preprocess import Preprocess
from toolkit.errors import CheckpointError, DataError
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import SegmentationModel
from toolkit.models.device import Device, choose_device
from toolkit.runs.checkpoint import Checkpoint
from toolkit.voc.pixels import read_image


@dataclass(frozen=True)
class Prediction:
    """What the model sees in one picture, at the picture's own size.

    mask         uint8 (H, W) class ids
    confidence   float32 (H, W), probability of the class in `mask`, 0..1
    image        uint8 (H, W, 3) RGB, upright
    """

    mask: Mask
    confidence: npt.NDArray[np.float32]
    image: npt.NDArray[np.uint8]
    classes: ClassMap


class Predictor:
    """A model ready to predict."""

    def __init__(self, model: SegmentationModel, classes: ClassMap, preprocess: Preprocess, device: Device) -> None:
        self.classes = classes
        self.preprocess = preprocess
        self.device = device
        self._model = model.eval().to(device.handle, memory_format=device.memory_format)  # type: ignore[call-overload]

    def predict(self, image: npt.NDArray[np.uint8] | Path | str) -> Prediction:
        """Predict one picture: a file, or uint8 (H, W, 3) RGB in 0..255.

        Raises ImageError if a file cannot be read, DataError if an array is of another kind.
        """
        pixels = read_image(Path(image)) if isinstance(image, Path | str) else image
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise DataError(f"image: uint8 (H, W, 3) RGB in 0..255 is needed, got {pixels.dtype} {pixels.shape}.")
        with torch.inference_mode(), self.device.autocast():
            tensor = self.preprocess.apply(pixels)[None].to(self.device.handle, memory_format=self.device.memory_format)
            logits = self._model(tensor)[0]
        mask, confidence = self.preprocess.undo(logits, (pixels.shape[0], pixels.shape[1]))
        return Prediction(mask, confidence, pixels, self.classes)


def load(
    checkpoint: Path | str, *, device: str = "auto", amp: bool | None = None, allow_code: bool = False
) -> Predictor:
    """Make a predictor from a checkpoint file (`runs/train-N/weights/best.safetensors`) or a run's folder.

    allow_code   import and run the model's own code, if it is one of `py:module:callable`

    Raises CheckpointError if it cannot be used, UsageError if the device is not there.
    """
    path = Path(checkpoint)
    path = path / "weights" / "best.safetensors" if path.is_dir() else path
    saved = Checkpoint.load(path)
    try:
        model = saved.build(allow_code=allow_code)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return Predictor(model, saved.classes, saved.preprocess, choose_device(device, amp))
