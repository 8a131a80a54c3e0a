"""Model file -> masks. Knows nothing of datasets: classes, size and normalisation come from the file alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import torch

from toolkit.data.preprocess import Preprocess
from toolkit.engines.base import Engine
from toolkit.engines.opening import open_engine
from toolkit.errors import DataError, RunError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.models.device import is_out_of_memory
from toolkit.prediction.canvas import Canvas
from toolkit.prediction.films.frames import Frame, Frames, ahead
from toolkit.prediction.options import PredictOptions, require_frames
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.prepared import Prepared, prepare
from toolkit.prediction.sources import CAMERA, Source
from toolkit.prediction.stream import stream
from toolkit.prediction.tiles import Compute, Span, blend
from toolkit.prediction.views import averaged_logits, views_of
from toolkit.progress import SILENT, Progress
from toolkit.voc.pixels import read_image

Picture = npt.NDArray[np.uint8] | Path | str
"""A file, or uint8 (H, W, 3) RGB in 0..255."""

_BATCH_ON_GPU = 8


class Predictor:
    """A model ready to predict. Several threads may use it at a time.

    engine    computes the logits
    options   what size the network sees, and how often
    source    the model's file, for people
    """

    def __init__(self, engine: Engine, options: PredictOptions | None = None, source: str = "") -> None:
        self.engine = engine
        self.options = options or PredictOptions()
        self.classes: ClassMap = engine.card.classes
        self.model = f"{engine.card.model} ({source})" if source else engine.card.model
        card = engine.card.preprocess
        self.preprocess: Preprocess = replace(card, size=self.options.size) if self.options.size else card
        self._views = views_of(self.options.tta)

    @property
    def batch(self) -> int:
        """Pictures or tiles that are computed at a time."""
        return self.options.batch or (1 if self.engine.device.type == "cpu" else _BATCH_ON_GPU)

    def predict(self, image: Picture, *, confidence: bool = False, probabilities: bool = False) -> Prediction:
        """Predict one picture.

        confidence      also the probability of the class at each pixel
        probabilities   also those of all classes

        Raises ImageError if a file cannot be read, DataError if an array is of another kind.
        """
        prepared = self.prepare(read_picture(image))
        return self.see([prepared], confidence=confidence, probabilities=probabilities)[0]()

    @overload
    def predict_many(
        self, images: Iterable[Picture], *, confidence: bool = False, probabilities: bool = False, failed: None = None
    ) -> Iterator[Prediction]: ...
    @overload
    def predict_many(
        self,
        images: Iterable[Picture],
        *,
        confidence: bool = False,
        probabilities: bool = False,
        failed: Callable[[Picture, DataError], object],
    ) -> Iterator[Prediction | None]: ...
    def predict_many(
        self,
        images: Iterable[Picture],
        *,
        confidence: bool = False,
        probabilities: bool = False,
        failed: Callable[[Picture, DataError], object] | None = None,
    ) -> Iterator[Prediction | None]:
        """Predict pictures as they come, one prediction after the other in the same order.

        failed   told of each picture that cannot be read, and why, when it is its turn: None comes in its place, and the
                 others go on. Without it, what `predict` would raise is raised then, and ends the work

        Reading ahead and preparing go on beside the network; only a few pictures are in memory at a time.
        """
        if isinstance(images, Path | str | np.ndarray):
            raise UsageError("images: a list of pictures is needed, this is one. Use predict(...).")
        outcomes = stream(
            self, images, read=read_picture, finish=_only, confidence=confidence, probabilities=probabilities
        )
        for image, outcome in outcomes:
            if not isinstance(outcome, DataError):
                yield outcome
            elif failed is None:
                raise outcome
            else:
                failed(image, outcome)
                yield None

    def predict_film(
        self,
        film: Path | str | int,
        *,
        every: int = 1,
        frames: int | None = None,
        confidence: bool = False,
        probabilities: bool = False,
    ) -> Iterator[tuple[int, Prediction]]:
        """Predict the frames of a film, or of a camera by its number, as they come: (number from 0, prediction).

        every    each N-th frame only
        frames   end after so many; a camera has no other end

        Raises DataError if it cannot be opened, or, after the last frame that could be read, if it breaks off;
        UsageError for numbers below 1.
        """
        require_frames(every, frames)
        place = f"{CAMERA}{film}" if isinstance(film, int) else str(film)
        taken = Frames(Source(place, place), every=every, most=frames)
        with closing(ahead(taken.__iter__)) as pictures:  # type: ignore[type-var]
            outcomes = stream(
                self,
                pictures,
                read=_picture_of,
                finish=_numbered,
                confidence=confidence,
                probabilities=probabilities,
            )
            for _, outcome in outcomes:
                if isinstance(outcome, DataError):
                    raise outcome
                yield outcome
        if taken.damage is not None:
            raise DataError(f"{place}: {taken.damage}")

    def prepare(self, image: npt.NDArray[np.uint8]) -> Prepared:
        """Fit a picture, uint8 (H, W, 3) RGB, to the network. Raises DataError if it is of another kind."""
        return prepare(image, self.preprocess, self.options)

    def see(
        self,
        prepared: Sequence[Prepared],
        *,
        confidence: bool = False,
        probabilities: bool = False,
        progress: Progress = SILENT,
    ) -> list[Callable[[], Prediction]]:
        """Have the network see pictures, those of one shape together.

        What is left to do with each, enlarging logits to masks, needs no network and may be done in another thread:
        that is what is returned. `progress` is told of tiles. Raises RunError if the memory is too small.
        """

        def canvas(picture: Prepared) -> Canvas:
            size, r = (picture.image.shape[0], picture.image.shape[1]), self.preprocess.upscale
            inner = (r * picture.inner[0], r * picture.inner[1])
            return Canvas(size, inner, len(self.classes), confidence=confidence, probabilities=probabilities)

        found: list[Callable[[], Prediction] | None] = [None] * len(prepared)
        tiles, done = sum(rows.count * columns.count for rows, columns in _grids(prepared)), 0

        def compute_tiles(images: torch.Tensor) -> torch.Tensor:
            nonlocal done
            logits = self._compute(images)
            done += len(images)
            progress.part(done / tiles, f"tile {done} of {tiles}")
            return logits

        try:
            with torch.inference_mode():
                for index, picture in enumerate(prepared):
                    if picture.tiles is not None:
                        found[index] = _Tiled(self, picture, self._filled(picture, canvas(picture), compute_tiles))
                for indices in _alike(prepared, self.batch):
                    images = np.stack([prepared[index].shown for index in indices])
                    for index, logits in zip(indices, self._compute(torch.from_numpy(images)), strict=True):
                        found[index] = _Whole(self, prepared[index], canvas(prepared[index]), logits)
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or is_out_of_memory(error)):
                raise
            raise RunError(
                f"the memory is too small for what the network sees at a time, {self._shown(prepared)}. Try a smaller "
                "--batch, --tile or --size."
            ) from None
        return [each for each in found if each is not None]

    def _filled(self, picture: Prepared, canvas: Canvas, compute: Compute) -> Canvas:
        assert picture.tiles is not None
        blend(
            picture.shown,
            *picture.tiles,
            compute,
            canvas.add,
            finer=self.preprocess.upscale,
            batch=self.batch,
            filling=self.preprocess.filling,
        )
        return canvas

    def _compute(self, images: torch.Tensor) -> torch.Tensor:
        return averaged_logits(self.engine, images, self._views)

    def _shown(self, prepared: Sequence[Prepared]) -> str:
        sizes = {p.shown.shape[:2] if p.tiles is None else (p.tiles[0].length, p.tiles[1].length) for p in prepared}
        return f"{min(self.batch, len(prepared))} x " + " or ".join(f"{w} x {h} pixels" for h, w in sorted(sizes))


@dataclass(frozen=True)
class _Whole:
    predictor: Predictor
    picture: Prepared
    canvas: Canvas
    logits: torch.Tensor

    def __call__(self) -> Prediction:
        h, w = (self.predictor.preprocess.upscale * side for side in self.picture.inner)
        with torch.inference_mode():
            self.canvas.whole(self.logits[:, :h, :w])
        return _prediction(self.predictor, self.picture, self.canvas)


@dataclass(frozen=True)
class _Tiled:
    predictor: Predictor
    picture: Prepared
    canvas: Canvas

    def __call__(self) -> Prediction:
        return _prediction(self.predictor, self.picture, self.canvas)


def _prediction(predictor: Predictor, picture: Prepared, canvas: Canvas) -> Prediction:
    return Prediction(
        mask=canvas.mask,
        image=picture.image,
        classes=predictor.classes,
        sureness=canvas.sureness.means,
        model=predictor.model,
        certainties=canvas.confidence,
        shares=canvas.probabilities,
    )


def _grids(prepared: Sequence[Prepared]) -> list[tuple[Span, Span]]:
    return [picture.tiles for picture in prepared if picture.tiles is not None]


def _alike(prepared: Sequence[Prepared], batch: int) -> Iterator[list[int]]:
    """Indices of pictures of one shape that are seen as a whole, at most `batch` at a time."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, picture in enumerate(prepared):
        if picture.tiles is None:
            groups.setdefault(picture.shown.shape, []).append(index)
    for indices in groups.values():
        for first in range(0, len(indices), batch):
            yield indices[first : first + batch]


def read_picture(image: Picture) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB, upright. Raises ImageError for a file that cannot be read."""
    return read_image(Path(image)) if isinstance(image, Path | str) else image


def _picture_of(frame: Frame) -> npt.NDArray[np.uint8]:
    return frame[1]


def _numbered(frame: Frame, prediction: Prediction) -> tuple[int, Prediction]:
    return frame[0], prediction


def _only(picture: Picture, prediction: Prediction) -> Prediction:
    return prediction


def load(
    path: Path | str,
    *,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    allow_code: bool = False,
    options: PredictOptions | None = None,
    progress: Progress = SILENT,
) -> Predictor:
    """Make a predictor from a run's folder, a checkpoint (`runs/train-N/weights/best.safetensors`) or an exported model.

    engine       what computes: "auto", or one of `toolkit.engines.ENGINES`
    precision    "auto" (what the device is built for), "fp32", "bf16", "fp16" or "int8"
    device       "auto", "cpu", "cuda", "cuda:N" or "mps"
    allow_code   import and run the model's own code, if it is one of `py:module:callable`
    options      what size the network sees, and how often

    Raises CheckpointError if the file cannot be used, UsageError for what is not there or does not go together.
    """
    opened = open_engine(
        Path(path), engine=engine, precision=precision, device=device, allow_code=allow_code, progress=progress
    )
    return Predictor(opened, options, str(path))
