"""What the model sees in one picture."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from toolkit.errors import UsageError
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import ClassMap


@dataclass(frozen=True)
class Prediction:
    """What the model sees in one picture, at the picture's own size. H, W: the picture's; K: classes.

    mask         uint8 (H, W) class ids
    image        uint8 (H, W, 3) RGB, upright
    classes      names and colours of the ids
    sureness     K numbers, for each class the mean probability, 0..1, of the pixels that were given it; nan for one
                 that no pixel was given. Taken at the size that the network sees
    model        which model in which file, for people
    """

    mask: Mask
    image: npt.NDArray[np.uint8]
    classes: ClassMap
    sureness: tuple[float, ...]
    model: str = ""
    certainties: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    shares: npt.NDArray[np.float16] | None = field(default=None, repr=False)

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """float32 (H, W), the probability of the class in `mask`, 0..1. Raises UsageError if it was not asked for."""
        if self.certainties is None:
            raise UsageError("confidence: it was not asked for. Use predict(..., confidence=True).")
        return self.certainties

    @property
    def probabilities(self) -> npt.NDArray[np.float16]:
        """float16 (K, H, W), the probability of every class, 0..1. Raises UsageError if they were not asked for.

        Those of a huge picture lie in a temporary file that is mapped into memory.
        """
        if self.shares is None:
            raise UsageError("probabilities: they were not asked for. Use predict(..., probabilities=True).")
        return self.shares

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)"""
        return self.mask.shape[0], self.mask.shape[1]
