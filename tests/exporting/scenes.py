"""Pictures with structure, which survive JPEG."""

import numpy as np
import numpy.typing as npt


def photograph(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3): smooth waves of colour."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(rows / a + columns / b) for a, b in ((5, 9), (11, 4), (7, -13))]
    return np.asarray(127 + 120 * np.stack(waves, axis=-1), np.uint8)
