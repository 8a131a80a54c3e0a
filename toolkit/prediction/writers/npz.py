"""The probability of every class at every pixel, for numpy."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.files import writing
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write `probabilities`, float16 (K, H, W), 0..1, and `classes`, K names; `np.load` reads it without pickle.

    Not compressed: deflate would halve it in ten times the time.
    """
    path = base.with_name(f"{base.name}.npz")
    arrays: dict[str, npt.NDArray[Any]] = {
        "probabilities": prediction.probabilities,
        "classes": np.array(prediction.classes.names),
    }
    with writing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)  # piece by piece, also from a mapped file
    return path
