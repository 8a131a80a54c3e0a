"""What numbers an engine computes in: what was asked for against what it can do."""

from toolkit.errors import UsageError, unknown_name

PRECISIONS = ("fp32", "bf16", "fp16", "int8")


def require_precision(asked: str) -> None:
    """Raise UsageError for a word that is neither "auto" nor one of PRECISIONS."""
    if asked != "auto" and asked not in PRECISIONS:
        raise unknown_name("precision", asked, ("auto", *PRECISIONS))


def settle_precision(where: str, asked: str, possible: tuple[str, ...], way_out: str) -> str:
    """The precision to compute in: the one that was asked for, for "auto" the first possible one.

    where      begins the message, as in "onnxruntime" or "torch on a CPU"
    way_out    ends it

    Raises UsageError if what was asked for is not possible.
    """
    require_precision(asked)
    if asked == "auto":
        return possible[0]
    if asked not in possible:
        raise UsageError(f"precision: {where} computes in {' or '.join(possible)}, not in {asked}. {way_out}")
    return asked
