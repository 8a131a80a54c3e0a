"""What one picture file holds: everything that needs its pixels, from one decoding."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from toolkit.audit.maskfile import MaskFacts, mask_facts
from toolkit.errors import ImageError
from toolkit.voc.lookalike import Fingerprint, fingerprint_of
from toolkit.voc.pixels import decode_rgb, read_header


@dataclass(frozen=True)
class PictureFacts:
    """One picture.

    stored, upright   (H, W) in the file and after its EXIF orientation (1: none) is obeyed
    digest            sha256 of the upright pixels: equal for equal pictures, whatever their format
    problem           why the file cannot be read
    """

    path: Path
    stored: tuple[int, int] = (0, 0)
    upright: tuple[int, int] = (0, 0)
    orientation: int = 1
    digest: bytes = b""
    likeness: Fingerprint | None = None
    problem: str = ""


@dataclass(frozen=True)
class PairJob:
    """Picture and mask of one stem; either may be missing."""

    stem: str
    image: Path | None
    mask: Path | None


@dataclass(frozen=True)
class PairFacts:
    """What was read for one stem."""

    stem: str
    picture: PictureFacts | None
    mask: MaskFacts | None


def pair_facts(job: PairJob) -> PairFacts:
    """Decode both files of a stem, each once."""
    picture = picture_facts(job.image) if job.image is not None else None
    return PairFacts(job.stem, picture, mask_facts(job.mask) if job.mask is not None else None)


def picture_facts(path: Path, data: bytes | None = None) -> PictureFacts:
    """Decode a picture, from `data` if it is embedded in the file. Never raises ImageError: it becomes `problem`."""
    place = str(path)
    try:
        header = read_header(path if data is None else data, place)
        rgb = decode_rgb(path if data is None else data, place, upright=data is None)  # as labelme shows it
    except ImageError as error:
        return PictureFacts(path, problem=str(error).removeprefix(f"{path}: "))
    digest = hashlib.sha256(repr(rgb.shape).encode())
    digest.update(rgb.data)
    upright = (rgb.shape[0], rgb.shape[1])
    return PictureFacts(path, header.size, upright, header.orientation, digest.digest(), fingerprint_of(rgb))
