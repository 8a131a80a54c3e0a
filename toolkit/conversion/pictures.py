"""From an annotation to the bytes of its picture: where it is, how it was turned, how it is stored."""

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from toolkit.errors import ImageError
from toolkit.findings import Finding
from toolkit.labels.annotation import Annotation
from toolkit.voc.layout import IMAGE_SUFFIXES
from toolkit.voc.pixels import Header, decode_rgb, encode_jpeg, read_header

_FIRST_TURNED = (3, 7)  # labelme shows pictures upright since 3.7.0, before it showed the stored frame


@dataclass(frozen=True)
class Picture:
    """An annotation's picture, ready to be stored: encoded bytes, upright (H, W), file suffix."""

    data: bytes
    size: tuple[int, int]
    suffix: str
    remarks: tuple[Finding, ...]


def picture_of(annotation: Annotation, *, keep_format: bool) -> Picture:
    """Find the annotation's picture and make it upright RGB or grey in the frame that the points refer to.

    JPEG bytes are passed on untouched if nothing has to be turned or converted. Other formats become JPEG of
    quality 95, or stay as they are with `keep_format` where they can. Raises ImageError naming the place.
    """
    remarks: list[Finding] = []
    if isinstance(annotation.image, bytes):
        data, place, embedded = annotation.image, f"{annotation.path}: imageData", True
    else:
        path = _image_path(annotation, remarks)
        place, embedded = str(path), False
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if not data:
        raise ImageError(f"{place}: is empty (0 bytes). Replace the file.")
    header = read_header(data, place)
    turn = _is_turned(annotation, header, place, embedded)
    if header.frames > 1 and header.format != "MPO":
        remarks.append(Finding(place, f"holds {header.frames} pictures; the first one is used."))
    size = header.upright_size if turn else header.size
    plain = header.orientation == 1 and header.mode in ("RGB", "L")
    if plain and header.format in ("JPEG", "MPO"):
        decode_rgb(data, place)  # a truncated picture must be noticed now, not in the middle of training
        return Picture(data, size, ".jpg", tuple(remarks))
    if plain and keep_format and header.format == "PNG":
        decode_rgb(data, place)
        return Picture(data, size, ".png", tuple(remarks))
    if header.mode not in ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        remarks.append(Finding(place, f"has more than 8 bits a channel ({header.mode}); stretched to 0..255."))
    rgb = decode_rgb(data, place, upright=turn)
    return Picture(encode_jpeg(rgb), (rgb.shape[0], rgb.shape[1]), ".jpg", tuple(remarks))


def _image_path(annotation: Annotation, remarks: list[Finding]) -> Path:
    """The recorded path, else a file of that name or of the annotation's own name beside the annotation."""
    folder = annotation.path.parent
    recorded = annotation.image if isinstance(annotation.image, str) else ""
    forward = PureWindowsPath(recorded).as_posix() if recorded else ""  # both kinds of slashes separate there
    for name in (recorded, forward):
        if name and _is_picture(folder / name):
            return folder / name
    stem = annotation.path.name[: -len(".json")]
    beside = [PureWindowsPath(recorded).name, stem, *(stem + s for s in IMAGE_SUFFIXES)]
    beside += [stem + suffix.upper() for suffix in IMAGE_SUFFIXES]
    for name in beside:
        if name and Path(name).suffix.lower() in IMAGE_SUFFIXES and _is_picture(folder / name):
            wrong = f"'{recorded[:200]}' is not there" if recorded else "is not recorded"
            remarks.append(Finding(f"{annotation.path}: imagePath", f"{wrong}; used {name} beside it."))
            return folder / name
    if not recorded:
        raise ImageError(
            f"{annotation.path}: imagePath: names no image and none is embedded. Put one of the same name beside it."
        )
    raise ImageError(
        f"{annotation.path}: imagePath: there is no image '{recorded[:200]}'. Put it beside the annotation."
    )


def _is_picture(path: Path) -> bool:
    """Whether there is such a file; labelme's own tutorial names an annotation as its image."""
    try:
        return path.suffix.lower() != ".json" and path.is_file()
    except (OSError, ValueError):  # too long a name, a NUL in it
        return False


def _is_turned(annotation: Annotation, header: Header, place: str, embedded: bool) -> bool:
    """Whether the annotator saw the picture turned upright by its EXIF orientation.

    The recorded size decides where it can; else labelme's own rule does: it turns files (since 3.7.0), but never
    what is embedded. Raises ImageError if the recorded size fits neither way.
    """
    if annotation.size is not None:
        stored, upright = annotation.size == header.size, annotation.size == header.upright_size
        if not stored and not upright:
            recorded, actual = (f"{w} x {h}" for h, w in (annotation.size, header.upright_size))
            raise ImageError(
                f"{annotation.path}: imageHeight, imageWidth: the annotation is for a picture of {recorded} pixels, "
                f"but {Path(place).name} has {actual}. Annotate the present picture or restore the old one."
            )
        if stored != upright:
            return upright
    return not embedded and not _is_before_turning(annotation.version)


def _is_before_turning(version: str) -> bool:
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return False
    return (int(parts[0]), int(parts[1])) < _FIRST_TURNED
