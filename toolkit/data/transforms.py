"""Augmentation: sample -> square training sample. Every draw comes from the generator that is handed in."""

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.data.augment import Augment
from toolkit.data.colours import DICE as COLOUR_DICE
from toolkit.data.colours import recoloured
from toolkit.data.preprocess import Preprocess, pad_image, pad_mask
from toolkit.data.warp import DICE as WARP_DICE
from toolkit.data.warp import apply_warp, draw_warp
from toolkit.labels.annotation import Mask

_TURNS = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)


def training_view(
    image: npt.NDArray[np.uint8],
    mask: Mask,
    preprocess: Preprocess,
    augment: Augment,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], Mask]:
    """uint8 (H, W, 3) RGB and (H, W) ids -> (S, S, 3) and (r S, r S), S = preprocess.size, r its upscale.

    What lies outside the picture is filled with the mean colour and is ignore in the mask. With the preset none the
    picture lies at the top left, fitted as for validation.
    """
    dice = rng.random(WARP_DICE + COLOUR_DICE + 4).tolist()
    side, finer = preprocess.size, preprocess.upscale
    fitted = preprocess.fitted((mask.shape[0], mask.shape[1]))
    geometry, rest = dice[:WARP_DICE], dice[WARP_DICE:]
    patch = apply_warp(image, mask, draw_warp(mask, fitted, side, augment, geometry), side, finer)
    colours, mirrors = rest[:COLOUR_DICE], rest[COLOUR_DICE:]
    view = recoloured(patch.image, augment, colours, rng)
    if patch.outside is not None:
        filling = np.empty_like(view)
        filling[:] = preprocess.filling
        view = np.asarray(cv2.copyTo(filling, patch.outside.view(np.uint8), view), np.uint8)
    view = pad_image(view, (side, side), preprocess.filling, patch.at)
    ids = pad_mask(patch.mask, (finer * side, finer * side), (finer * patch.at[0], finer * patch.at[1]))
    view, ids = (_mirrored(plane, augment, mirrors) for plane in (view, ids))
    return _own(view, image), _own(ids, mask)


def _own(view: npt.NDArray[np.uint8], given: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture that needed no change must not come back as itself: it may be read-only, or be used again."""
    return view.copy() if np.may_share_memory(view, given) else np.ascontiguousarray(view)


def _mirrored(plane: npt.NDArray[np.uint8], augment: Augment, dice: list[float]) -> npt.NDArray[np.uint8]:
    """Flips and quarter turns of the whole square, which move pixels and change none."""
    across, down = dice[0] < augment.flip, dice[1] < augment.flip_vertical
    if across or down:
        plane = np.asarray(cv2.flip(plane, -1 if across and down else int(across)), np.uint8)
    if dice[2] < augment.quarter_turns:
        plane = np.asarray(cv2.rotate(plane, _TURNS[int(dice[3] * 3)]), np.uint8)
    return plane
