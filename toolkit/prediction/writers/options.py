"""How predictions are written."""

from dataclasses import dataclass

from toolkit.errors import UsageError

SHAPES = ("polygon", "mask")


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
                raise UsageError(f"{name}: {low:g} to {high:g} is possible, got {value}.")
        if self.shapes not in SHAPES:
            raise UsageError(f"shapes: {' or '.join(SHAPES)} is possible, got '{self.shapes}'.")
