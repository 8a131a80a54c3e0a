"""Everything that is settled before the first step: data, classes, weights, model, precision, options."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from toolkit.data.augment import AUGMENTS, Augment, augment_by_name
from toolkit.data.dataset import VocSamples
from toolkit.data.preprocess import Preprocess
from toolkit.errors import DatasetError, SegError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.losses.base import Loss
from toolkit.losses.build import build_loss, parse_loss
from toolkit.losses.class_weights import ClassWeights, weights_from_counts
from toolkit.models import MODELS
from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.blocks import with_shared_statistics
from toolkit.models.build import build_model
from toolkit.models.device import Device, choose_device
from toolkit.models.entry import choose_model
from toolkit.models.weights.load import LoadedWeights
from toolkit.progress import Progress
from toolkit.runs.config import TrainConfig
from toolkit.training.beginning import load_weights
from toolkit.training.group import own_device
from toolkit.training.launch import is_one_of_several
from toolkit.training.optim import default_lr
from toolkit.voc.counts import classes_of, count_masks
from toolkit.voc.folder import VocFolder
from toolkit.voc.pairs import check_pair

_FREEZE_SHARE = 5  # a fifth of the epochs, so that the decoder finds its feet before learnt features move


@dataclass(frozen=True)
class Plan:
    """A training run, ready to start. `config` holds effective values only: nothing is left open but `batch: auto`.

    unread   why samples were left out that could not be read
    """

    config: TrainConfig
    folder: VocFolder
    classes: ClassMap
    train: VocSamples
    val: VocSamples
    augment: Augment
    weights: ClassWeights
    spec: ModelSpec
    model: SegmentationModel
    preprocess: Preprocess
    device: Device
    loss: Loss
    unread: tuple[str, ...] = ()

    @property
    def step_images(self) -> int:
        """Images in a step of the optimizer, over all processes."""
        assert isinstance(self.config.batch, int), "auto is settled before the first step"
        return self.config.batch * self.config.accumulate

    @property
    def fingerprint(self) -> str:
        """Changes when the classes, the lists or the pixel counts of the training masks change.

        A run must not be resumed on other data.
        """
        lists = ("\n".join(names) for names in (self.classes.names, self.train.stems, self.val.stems))
        skips = self.config.on_bad_image == "skip"  # then a mask may become unreadable, and the run goes on without it
        counts = "" if skips else ",".join(map(str, self.weights.counts.pixels.tolist()))
        return hashlib.sha256("\0".join((*lists, counts)).encode()).hexdigest()


def make_plan(config: TrainConfig, progress: Progress, *, fresh: bool = True) -> Plan:
    """Check the data, count its pixels, build the model on its device.

    With `fresh=False` (a run that is resumed) no encoder weights are looked for: the state brings all weights.
    Raises DatasetError, UsageError or CheckpointError before anything is written.
    """
    choose_model(config.model, MODELS)  # names are checked before data is read
    parse_loss(config.loss)
    augment = augment_by_name(config.augment)
    device = choose_device(own_device(config.device), config.amp)
    if config.sync_bn and (device.handle.type != "cuda" or not is_one_of_several()):
        raise UsageError("sync_bn: only several processes on GPUs share the statistics of BatchNorm. Leave it out.")
    if config.sync_bn and config.batch == "auto":
        raise UsageError("sync_bn: batch auto tries sizes in each process by itself. Give a number with --batch.")
    folder = VocFolder.find(Path(config.dataset))
    train, val = (VocSamples(folder, _stems(folder, side, config.fold)) for side in ("train", "val"))
    both = tuple(sorted({*train.stems, *val.stems}))
    skip = config.on_bad_image == "skip"

    told: list[str] = []

    def unread(error: SegError) -> None:
        if not skip:
            raise with_way_out(error)
        if str(error) not in told:
            progress.warn(f"skipped: {error}")
            told.append(str(error))

    table = count_masks(folder, both, workers=None, progress=progress, unread=unread)
    classes = classes_of(table, progress)
    if len(classes) < 2:
        raise DatasetError(
            f"{folder.names_file}: lists one class only; there is nothing to tell apart. Annotate a second class."
        )
    counts = table.counts(len(classes), train.stems)
    if not table.counts(len(classes), val.stems).pixels.any():
        progress.warn(
            f"{folder.list_file('val', config.fold)}: no pixel of the validation masks can be scored; there will be no "
            "scores, and no epoch is better than another."
        )
    for stem in progress.track(both, "Checking pictures", len(both)):
        try:
            check_pair(folder, stem)
        except SegError as error:
            unread(error)
    if not counts.pixels.any():
        raise DatasetError(
            f"{folder.list_file('train', config.fold)}: every pixel of the training masks is ignore; there is nothing to learn."
        )
    weights = weights_from_counts(config.class_weights, counts, classes)

    torch.manual_seed(config.seed % 2**63)
    spec = ModelSpec(len(classes), width=config.width, upscale=config.upscale)
    model = build_model(config.model, spec.classes, width=spec.width, upscale=spec.upscale)
    loaded = load_weights(model, config, classes, progress) if fresh else None
    if config.sync_bn:
        model = with_shared_statistics(model)
    model.to(device.handle, memory_format=device.memory_format)  # type: ignore[call-overload]
    tensor = None if weights.weights is None else torch.tensor(weights.weights, dtype=torch.float32)
    return Plan(
        config=_settled(config, model, weights, augment, device, loaded),
        folder=folder,
        classes=classes,
        train=train,
        val=val,
        augment=augment,
        weights=weights,
        spec=spec,
        model=model,
        preprocess=Preprocess(size=config.size, upscale=config.upscale),
        device=device,
        loss=build_loss(config.loss, tensor, len(classes)).to(device.handle),
        unread=tuple(told),
    )


def with_way_out(error: SegError) -> SegError:
    """The error of a sample that cannot be read, with how to go on without it."""
    return type(error)(f"{error} Or leave such images out: --on-bad-image skip")


def _stems(folder: VocFolder, side: str, fold: int | None) -> tuple[str, ...]:
    stems = folder.read_list(side, fold)
    if not stems:
        raise DatasetError(
            f"{folder.list_file(side, fold)}: names no image. Make the lists again: seg split {folder.root}"
        )
    return stems


def _settled(
    config: TrainConfig,
    model: SegmentationModel,
    weights: ClassWeights,
    augment: Augment,
    device: Device,
    loaded: LoadedWeights | None,
) -> TrainConfig:
    if config.freeze_epochs is not None and config.freeze_epochs > config.epochs:
        raise UsageError(f"freeze_epochs: {config.freeze_epochs} is more than the {config.epochs} epochs there are.")
    if config.freeze_epochs and not any(True for _ in model.encoder.parameters()):
        raise UsageError(f"freeze_epochs: {config.model} has no encoder (or backbone) that could rest. Leave it out.")
    # the encoder rests if all of it has learnt and something outside has not
    rests = loaded is not None and loaded.has_encoder and (config.weights == "none" or bool(loaded.missing))
    frozen = config.epochs // _FREEZE_SHARE if rests else 0
    workers = 0 if device.handle.type == "cpu" else min(8, torch.get_num_threads())
    return replace(
        config,
        lr=default_lr(config.optimizer, model, pretrained=loaded is not None) if config.lr is None else config.lr,
        freeze_epochs=frozen if config.freeze_epochs is None else config.freeze_epochs,
        workers=workers if config.workers is None else config.workers,
        class_weights=weights.choice,
        augment=config.augment if config.augment in AUGMENTS else json.dumps(augment.as_dict()),
        amp=device.amp is not None,
        device=config.device if is_one_of_several() else str(device.handle),
    )
