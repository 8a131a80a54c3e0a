"""What labelme embeds in its JSON as base64 text: pictures and the bitmaps of mask shapes."""

import base64
import binascii
import io
import json
import warnings
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pybase64
from PIL import Image

from toolkit.errors import AnnotationError

_SPARE_PIXELS = 1_000_000
"""A bitmap may be larger than its box, labelme crops it; but not so large that it is a bomb."""


class BadBitmap(Exception):
    """Why the bitmap of a mask shape cannot be used; the text is meant for the user."""


def is_null(raw: msgspec.Raw) -> bool:
    """Whether a field left undecoded says nothing: `null` or empty text."""
    return bytes(memoryview(raw)[:5]) in (b"", b"null", b'""', b"false", b"0", b"[]", b"{}")


def decode_base64(raw: msgspec.Raw) -> bytes:
    """The bytes behind a field left undecoded. Tolerates line breaks, missing padding and a `data:` prefix.

    Raises ValueError saying what is wrong.
    """
    token = memoryview(raw)
    if token[0] != ord('"'):
        kinds = {ord("["): "a list", ord("{"): "an object", ord("t"): "true/false"}
        raise ValueError(f"base64 text or null is needed, got {kinds.get(token[0], 'a number')}")
    try:
        return pybase64.b64decode(token[1:-1], validate=True)
    except (binascii.Error, ValueError):  # escapes, line breaks, a prefix, wrong padding: the slow way
        pass
    text = json.loads(bytes(token).decode("utf-8", "replace"), strict=False)
    if text.startswith("data:"):
        text = text.partition(",")[2]
    text = "".join(text.split())
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not valid base64 ({error})") from None


def embedded_picture(path: Path, raw: msgspec.Raw) -> bytes:
    """The encoded picture of an annotation. Raises AnnotationError naming file and field."""
    try:
        return decode_base64(raw)
    except ValueError as error:
        raise AnnotationError(f"{path}: imageData: {error}. Save the annotation again in labelme.") from None


def bitmap(raw: msgspec.Raw, box: tuple[int, int], room: int) -> npt.NDArray[np.bool_]:
    """The bitmap of a mask shape, bool (h, w). Raises BadBitmap.

    box    (h, w) by the shape's two points; a picture that declares many times as much is not decoded
    room   nor is one of more than so many pixels
    """
    if is_null(raw):
        raise BadBitmap("a mask shape needs its picture (base64 text), got nothing")
    try:
        data = decode_base64(raw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on large but allowed pictures
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > 4 * box[0] * box[1] + _SPARE_PIXELS:
                    raise BadBitmap(
                        f"the picture has {image.width} x {image.height} pixels, its box only {box[1]} x {box[0]}"
                    )
                if image.width * image.height > room:
                    raise BadBitmap(
                        f"the masks of this file have too many pixels together, this one {image.width} x {image.height}"
                    )
                if image.format == "EPS":
                    raise BadBitmap("a PNG is needed, got a program (EPS)")  # Pillow would have Ghostscript run it
                pixels = np.asarray(image)
    except BadBitmap:
        raise
    except Exception as error:  # Pillow's readers of damaged files raise whatever they stumble over
        raise BadBitmap(f"the picture cannot be read ({error})") from None
    if pixels.ndim != 2:
        raise BadBitmap(f"a picture with one channel is needed, got {pixels.shape[-1]}")
    return pixels.astype(np.bool_)
