"""How a model is exported. Torch-free: the command line refuses what cannot be before it loads anything."""

from dataclasses import dataclass

from toolkit.errors import UsageError, unknown_name

TOLERANCES = {"fp32": 0.001, "fp16": 0.005, "int8": 0.05}
"""By precision of the file: the share of pixels that may get another class than from PyTorch in fp32."""

CHECKED_ON, SCORED_ON = 16, 64
"""Pictures that are compared; and for int8, of which the change of the mIoU is wanted."""


@dataclass(frozen=True)
class ExportOptions:
    """What the files hold, and what is asked of them.

    precision    of the numbers in the file: "fp32", "fp16" (half the size) or "int8"
    raw_input    the network takes uint8 (N, h, w, 3) RGB and normalises by itself
    check        pictures to compare on; None: CHECKED_ON, for int8 SCORED_ON
    calibrate    training pictures that int8 takes the ranges of its numbers from
    tolerance    share of pixels that may get another class, 0..1; None: see TOLERANCES
    overwrite    replace files that are there
    """

    precision: str = "fp32"
    raw_input: bool = False
    check: int | None = None
    calibrate: int = 32
    tolerance: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.precision not in TOLERANCES:
            raise unknown_name("precision", self.precision, TOLERANCES)
        for name, value, low, high in (
            ("check", self.check, 1, 100_000),
            ("calibrate", self.calibrate, 1, 10_000),
            ("tolerance", self.tolerance, 0.0, 1.0),
        ):
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name}: {low:g} to {high:g} is possible, got {value}.")

    @property
    def pictures(self) -> int:
        """How many to compare on."""
        return self.check or (SCORED_ON if self.precision == "int8" else CHECKED_ON)

    @property
    def most_unequal(self) -> float:
        """The share of pixels that may get another class."""
        return TOLERANCES[self.precision] if self.tolerance is None else self.tolerance
