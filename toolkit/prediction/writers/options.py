"""How predictions are written."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from toolkit.errors import UsageError

SHAPES = ("polygon", "mask")

USED_BY = {
    "opacity": ("overlay", "video"),
    "outline": ("overlay", "video"),
    "shapes": ("labelme",),
    "tolerance": ("labelme",),
    "min_area": ("labelme",),
    "pixel_size": ("counts",),
}
"""The kinds of output that look at each option."""


@dataclass(frozen=True)
class WriteOptions:
    """What the writers look at; each takes what concerns it.

    opacity      of the classes laid over the picture, 0..1
    outline      width in pixels of the line around each region of an overlay; None: grows with the picture; 0: none
    shapes       what labelme files hold: "polygon" outlines, or "mask" bitmaps, which are exact
    tolerance    how far, in pixels, a polygon may leave the true outline; 0: not at all
    min_area     regions of fewer pixels are left out of labelme files; None: fewer than 16 in polygons, as long as no
                 class loses or gains a thousandth of its pixels by it, and none in masks
    pixel_size   length of a pixel's side, in a unit of the user's, for areas; None: areas are not given
    """

    opacity: float = 0.5
    outline: int | None = None
    shapes: str = "polygon"
    tolerance: float = 0.5
    min_area: int | None = None
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("opacity", self.opacity, 0.0, 1.0),
            ("outline", self.outline, 0, 1000),
            ("tolerance", self.tolerance, 0.0, 1000.0),
            ("min_area", self.min_area, 0, 10**12),
            ("pixel_size", self.pixel_size, 1e-12, 1e12),
        ):
            if value is not None and not low <= value <= high:
                raise UsageError(f"{dashed(name)}: {low:g} to {high:g} is possible, got {value}.")
        if self.shapes not in SHAPES:
            raise UsageError(f"shapes: {' or '.join(SHAPES)} is possible, got '{self.shapes}'.")

    def require_used(self, kinds: Sequence[str]) -> None:
        """Raise UsageError for an option that was given and that no output of these kinds looks at."""
        for option in fields(self):
            if getattr(self, option.name) == option.default:
                continue
            users = USED_BY[option.name]
            if not set(users) & set(kinds):
                raise UsageError(
                    f"{dashed(option.name)}: is for {' and '.join(users)}, and nothing that is saved uses it. Add "
                    f"{users[0]} to what is saved (--save), or leave it out."
                )
        if self.shapes == "mask" and self.tolerance != WriteOptions.tolerance:
            raise UsageError("tolerance: is for polygons; shapes mask (--shapes mask) is exact. Leave one of them out.")


def dashed(name: str) -> str:
    """An option's name as it is typed, without the two hyphens in front."""
    return name.replace("_", "-")
