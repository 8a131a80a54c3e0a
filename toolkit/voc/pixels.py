"""Image and mask files <-> arrays. RGB, (H, W), uint8; every picture upright, every mask a mask of ids."""

import contextlib
import io
import stat
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from toolkit.errors import ImageError
from toolkit.files import kind_of, writing
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import voc_palette
from toolkit.voc.png import encode_png_image, encode_png_mask

_ORIENTATION_TAG = 0x0112
_TURNED_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")  # where image viewers, and labelme, obey the orientation tag
_PROGRAMS = ("EPS",)  # not pictures: Pillow has Ghostscript run them
_BAND_ROWS = 64
_BAND_BYTES = 1 << 17  # what a processor's cache holds is copied twice as fast
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")

JPEG_QUALITY = 95
LARGEST_JPEG_SIDE = 65_500
"""Pixels; what the library that writes JPEG files takes."""

LARGEST_PICTURE = 500_000_000
"""Pixels; what a picture may declare before it is refused. As RGB in memory that is 1.5 GB."""

_PALETTE = voc_palette().tobytes()
_pillow_limit = threading.Lock()


class TooManyPixels(ImageError):
    """A picture is larger than the limit."""


@dataclass(frozen=True)
class Header:
    """What an image file says of itself without being decoded.

    size is (H, W) as stored; orientation is the EXIF value 1..8 (1: upright).
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    frames: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """(H, W) after the orientation is applied."""
        return self.size if self.orientation < 5 else (self.size[1], self.size[0])


@contextlib.contextmanager
def _opened(source: Path | bytes, place: str, largest: int = LARGEST_PICTURE) -> Iterator[Image.Image]:
    """Open without decoding; every way in which Pillow can fail becomes ImageError naming the place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
            with _open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                if image.format in _PROGRAMS:
                    raise UnidentifiedImageError
                if image.width * image.height > largest:
                    millions = f"{image.width * image.height / 1e6:.0f} million"
                    raise TooManyPixels(
                        f"{place}: refused before decoding: {image.width} x {image.height} are {millions} pixels, "
                        f"the limit is {largest / 1e6:g} million. Cut the picture into parts."
                    )
                yield image
    except FileNotFoundError:
        raise ImageError(f"{place}: there is no such file.") from None
    except UnidentifiedImageError:
        raise ImageError(f"{place}: not an image in a known format. Replace the file.") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{place}: refused before decoding: {error} Cut the picture into parts.") from None
    except ImageError:
        raise
    except OSError as error:
        if error.errno is None:  # Pillow's own, of damaged files
            raise ImageError(f"{place}: cannot be decoded ({error}). Replace the file.") from None
        raise ImageError(f"{place}: cannot be read: {error.strerror or error}.") from None
    except Exception as error:  # Pillow's readers of damaged files raise whatever they stumble over
        raise ImageError(f"{place}: cannot be decoded ({error}). Replace the file.") from None


def _open(source: Path | io.BytesIO) -> Image.Image:
    """Image.open with seg's own limit on the size in place of Pillow's, which a program can set only for itself."""
    if isinstance(source, Path) and not stat.S_ISREG((status := source.stat()).st_mode):
        raise ImageError(f"{source}: {kind_of(status)}. A picture is needed there.")
    with _pillow_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def read_header(source: Path | bytes, place: str, *, largest: int = LARGEST_PICTURE) -> Header:
    """Read an image's header. `place` names the source in messages.

    Raises ImageError, also if the picture declares more than `largest` pixels.
    """
    with _opened(source, place, largest) as image:
        orientation = 1
        if image.format in _TURNED_FORMATS:
            value = image.getexif().get(_ORIENTATION_TAG, 1)
            orientation = value if isinstance(value, int) and 1 <= value <= 8 else 1
        return Header(
            format=image.format or "",
            mode=image.mode,
            size=(image.height, image.width),
            orientation=orientation,
            frames=getattr(image, "n_frames", 1),
        )


def decode_rgb(
    source: Path | bytes, place: str, *, upright: bool = True, largest: int = LARGEST_PICTURE
) -> npt.NDArray[np.uint8]:
    """Decode to uint8 (H, W, 3) RGB, 0..255, turned upright by the EXIF orientation unless told otherwise.

    More than 8 bits a channel are stretched from their minimum..maximum to 0..255, as labelme shows them;
    transparency is dropped; of several frames the first is taken. Raises ImageError naming `place`.
    """
    with _opened(source, place, largest) as image:
        picture: Image.Image = image
        picture.load()
        if upright and image.format in _TURNED_FORMATS and image.getexif().get(_ORIENTATION_TAG, 1) != 1:
            picture = ImageOps.exif_transpose(image)
        if picture.mode in _DEEP_MODES:
            return _stretched(np.asarray(picture))
        return _array_of(picture if picture.mode == "RGB" else picture.convert("RGB"))


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture as uint8 (H, W, 3) RGB, upright; see `decode_rgb`."""
    return decode_rgb(path, str(path))


def encode_jpeg(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W, 3) RGB as JPEG, quality 95, chroma not subsampled."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def encode_png(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def read_mask(path: Path) -> Mask:
    """Read a mask's class ids: uint8 (H, W). Palette masks give their indices, grey ones their values.

    Raises ImageError if the file holds colours instead of ids.
    """
    with _opened(path, str(path)) as image:
        if image.mode not in ("P", "L", "1", *_DEEP_MODES):
            raise ImageError(
                f"{path}: a mask holds one class id a pixel (palette or grey PNG), this one is {image.mode}. "
                "Convert its colours to ids first."
            )
        values = np.array(image)
    if values.dtype != np.uint8:
        if values.size and (values.min() < 0 or values.max() > 255):
            raise ImageError(f"{path}: holds the value {values.max()}; class ids end at 254, 255 is ignore.")
        values = values.astype(np.uint8)
    return values


def encode_mask(mask: Mask | Image.Image, *, palette: bool = True) -> bytes:
    """Encode class ids, uint8 (H, W) or an image of mode L, as PNG: mode P with the VOC colours, or plain grey values."""
    colors = _PALETTE if palette else None
    return encode_png_image(mask, colors) if isinstance(mask, Image.Image) else encode_png_mask(mask, colors)


def write_mask(path: Path, mask: Mask) -> None:
    """Write a palette mask, atomically; see `encode_mask`."""
    with writing(path) as file:
        file.write(encode_mask(mask))


def encode_instances(instances: Image.Image, most: int) -> bytes:
    """Encode instance numbers up to `most`, mode L or I, as a palette PNG, or as a 16-bit grey PNG above 254."""
    if most <= 254:
        return encode_mask(instances)
    return encode_png_mask(np.asarray(instances).astype(np.uint16), None)


def _array_of(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3) of a picture of mode RGB, a band of it at a time: Pillow hands pixels out by several copies."""
    W, H = picture.size
    rgb = np.empty((H, W, 3), np.uint8)
    rows = max(1, min(H, _BAND_BYTES // (3 * max(1, W))))
    band = Image.new("RGB", (W, rows))
    for top in range(0, H, rows):
        band.paste(picture, (0, -top))  # not cropped: that asks for Pillow's limit, which belongs to the program around
        rgb[top : top + rows] = np.asarray(band)[: H - top]
    return rgb


def _stretched(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """From minimum..maximum to 0..255, band by band: numbers of 8 bytes are held for a few rows only."""
    height, width = values.shape
    bands = [slice(first, first + _BAND_ROWS) for first in range(0, height, _BAND_ROWS)]
    ends = [(band.min(), band.max()) for rows in bands if (band := values[rows][np.isfinite(values[rows])]).size]
    low, high = (float(min(low for low, _ in ends)), float(max(high for _, high in ends))) if ends else (0.0, 0.0)
    span = high - low if high > low else 1.0
    rgb = np.empty((height, width, 3), np.uint8)
    for rows in bands:
        grey = np.nan_to_num((values[rows].astype(np.float64) - low) / span, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
        rgb[rows] = (grey * 255 + 0.5).astype(np.uint8)[:, :, None]
    return rgb
