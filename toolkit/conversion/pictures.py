"""From an annotation's picture file to the bytes that are stored: how it was turned, how it is encoded."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from toolkit.conversion.options import DrawOptions
from toolkit.errors import ImageError
from toolkit.files import read_file
from toolkit.findings import Finding
from toolkit.labels.annotation import Annotation
from toolkit.voc.jpeg import JpegHeader, read_whole_jpeg
from toolkit.voc.pixels import (
    LARGEST_JPEG_SIDE,
    Header,
    TooManyPixels,
    decode_rgb,
    encode_jpeg,
    encode_png,
    read_header,
)

_FIRST_TURNED = (3, 7)  # labelme shows pictures upright since 3.7.0, before it showed the stored frame
_LARGEST_FILE = 4 << 30  # bytes
_EIGHT_BIT = ("1", "L", "P", "PA", "LA", "La", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")


@dataclass(frozen=True)
class Picture:
    """An annotation's picture, ready to be stored: encoded bytes, upright (H, W), file suffix."""

    data: bytes
    size: tuple[int, int]
    suffix: str
    findings: tuple[Finding, ...]


def read_picture(path: Path) -> bytes:
    """The bytes of a picture file. Raises ImageError."""
    return read_file(path, _LARGEST_FILE, ImageError)


def prepare(data: bytes, place: str, annotation: Annotation | None, options: DrawOptions) -> Picture:
    """Make a picture upright RGB or grey, in the frame that the annotation's points refer to.

    data         the encoded picture; `place` names it in messages
    annotation   None: a picture without one, turned by its own orientation

    JPEG bytes are passed on untouched if nothing has to be turned or converted, PNG bytes with image_format "keep" or
    "png". Raises ImageError naming the place.
    """
    if not data:
        raise ImageError(f"{place}: is empty (0 bytes). Replace the file.")
    findings: list[Finding] = []
    jpeg = read_whole_jpeg(data)
    if jpeg is not None and (jpeg.size[0] * jpeg.size[1] > options.max_pixels or not _can_be_decoded(jpeg.skeleton)):
        jpeg = None  # refused in one place
    try:
        header = read_header(data, place, largest=options.max_pixels) if jpeg is None else _header(jpeg)
    except TooManyPixels as error:
        raise ImageError(f"{str(error).removesuffix('.')}, or raise the limit: --max-megapixels.") from None
    turn = _is_turned(annotation, header, place, options, findings) if annotation is not None else True
    if header.frames > 1 and header.format != "MPO":
        text = f"holds {header.frames} pictures; the first one is used."
        findings.append(Finding(place, text, "Annotations belong to one picture each.", "many-frames"))
    size = header.upright_size if turn else header.size
    plain = header.orientation == 1 and header.mode in ("RGB", "L")
    if plain and header.format in ("JPEG", "MPO") and options.image_format != "png":
        if jpeg is None:  # damage is to be noticed now, not in the middle of training
            decode_rgb(data, place, largest=options.max_pixels)
        return Picture(data, size, ".jpg", tuple(findings))
    is_kept = plain and header.format == "PNG" and options.image_format != "jpg"
    if not is_kept and options.image_format != "png" and max(size) > LARGEST_JPEG_SIDE:
        raise ImageError(
            f"{place}: has {size[1]} x {size[0]} pixels, but a side of a JPEG file at most {LARGEST_JPEG_SIDE}. "
            "Use --image-format png."
        )
    rgb = decode_rgb(data, place, upright=turn, largest=options.max_pixels)
    if is_kept:
        return Picture(data, size, ".png", tuple(findings))
    if header.mode not in _EIGHT_BIT:
        text = f"has more than 8 bits a channel ({header.mode}); stretched from its own minimum and maximum to 0..255."
        findings.append(
            Finding(place, text, "", "deep-picture", why="The brightness of pictures is not comparable then.")
        )
    size = (rgb.shape[0], rgb.shape[1])
    if options.image_format == "png":
        return Picture(encode_png(rgb), size, ".png", tuple(findings))
    return Picture(encode_jpeg(rgb), size, ".jpg", tuple(findings))


@lru_cache(256)
def _can_be_decoded(skeleton: bytes) -> bool:
    """Whether a decoder takes the tables of a JPEG file, see JpegHeader."""
    try:
        decode_rgb(skeleton, "")
    except ImageError:
        return False
    return True


def _header(jpeg: JpegHeader) -> Header:
    mode = "L" if jpeg.channels == 1 else "RGB"
    return Header(format="JPEG", mode=mode, size=jpeg.size, orientation=jpeg.orientation, frames=1)


def compare_with_origin(beside: Path, size: tuple[int, int], path: Path) -> tuple[Finding, ...]:
    """An embedded picture of (H, W) `size` and the file that it is said to come from should have one size."""
    try:
        header = read_header(beside, str(beside))
    except ImageError:
        return ()
    if size in (header.size, header.upright_size):
        return ()
    here, there = (f"{width} x {height}" for height, width in (size, header.upright_size))
    text = f"the embedded picture has {here} pixels, {beside.name} beside it {there}; the embedded one is used."
    return (
        Finding(f"{path}: imageData", text, "Annotate the present picture or restore the old one.", "other-picture"),
    )


def _is_turned(
    annotation: Annotation, header: Header, place: str, options: DrawOptions, findings: list[Finding]
) -> bool:
    """Whether the annotator saw the picture turned upright by its EXIF orientation.

    The recorded size decides where it can; else labelme's own rule does: it turns files (since 3.7.0), but never
    what is embedded. Raises ImageError if the recorded size fits neither way and the points may not be rescaled.
    """
    by_rule = not isinstance(annotation.image, bytes) and not _is_before_turning(annotation.version)
    if annotation.size is None:
        return by_rule
    stored, upright = annotation.size == header.size, annotation.size == header.upright_size
    if stored != upright:
        return upright
    if not stored:
        recorded, actual = (f"{w:.12g} x {h:.12g}" for h, w in (annotation.size, header.upright_size))
        if not options.rescale:
            raise ImageError(
                f"{annotation.path}: imageHeight, imageWidth: the annotation is for a picture of {recorded} pixels, "
                f"but {Path(place).name} has {actual}. Annotate the present picture, restore the old one, or use "
                "--rescale if it was only resized."
            )
        text = f"points scaled from {recorded} to {actual} pixels."
        findings.append(Finding(f"{annotation.path}: imageHeight, imageWidth", text, "", "rescaled"))
    return by_rule


def _is_before_turning(version: str) -> bool:
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return False
    return (int(parts[0]), int(parts[1])) < _FIRST_TURNED
