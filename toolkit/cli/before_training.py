"""`seg train --dry-run` and `--preview`: what a training would be, without one."""

from pathlib import Path

from toolkit.cli.console import make_progress, show, show_json
from toolkit.errors import UsageError
from toolkit.runs.config import TrainConfig
from toolkit.training.launch import is_main


def rehearse_training(config: TrainConfig, *, as_json: bool) -> None:
    """Time a few steps and show what all of them would take."""
    from toolkit.training.rehearse import rehearse
    from toolkit.training.talk import duration

    found = rehearse(config, make_progress())
    if not is_main():
        return
    if as_json:
        show_json(found.as_dict())
        return
    waiting = f", {found.data_seconds:.2g} s of it for reading images" if found.data_seconds >= 0.005 else ""
    rests = found.config["freeze_epochs"]
    resting = f" ({found.resting_seconds:.2g} s in the {rests} epochs with the encoder at rest)" if rests else ""
    show(f"a step:     {found.step_seconds:.2g} s{waiting}{resting}; {found.steps} in an epoch")
    show(f"validation: {found.picture_seconds * found.val_images:.2g} s an epoch, {found.val_images} images")
    show(f"memory:     {found.memory / 1e9:.1f} GB at the highest point")
    show(f"in all:     about {duration(found.seconds)} for {found.config['epochs']} epochs")


def preview_training(config: TrainConfig, out: Path | None, *, as_json: bool = False) -> None:
    """Draw augmented samples, exactly those that training will see, into `out`, which must not exist."""
    from toolkit.data.augment import augment_by_name
    from toolkit.data.dataset import VocSamples
    from toolkit.data.preprocess import Preprocess
    from toolkit.files import numbered_folder
    from toolkit.models import MODELS
    from toolkit.models.entry import choose_model, refuse_what_it_lacks
    from toolkit.report.preview import draw_preview
    from toolkit.runs.folder import RUNS
    from toolkit.voc.counts import classes_of, count_masks
    from toolkit.voc.folder import VocFolder

    augment = augment_by_name(config.augment)
    refuse_what_it_lacks(config.model, choose_model(config.model, MODELS).entry, config.width, config.upscale)
    if out is not None and out.exists():
        raise UsageError(f"{out}: exists. Choose another --out for the preview, a .png or .jpg.")
    folder = VocFolder.find(Path(config.dataset))
    samples = VocSamples(folder, folder.read_list("train", config.fold))
    progress = make_progress()
    classes = classes_of(count_masks(folder, samples.stems, workers=None, progress=progress), progress)
    path = out if out is not None else numbered_folder(RUNS, "preview") / "preview.jpg"
    draw_preview(samples, Preprocess(size=config.size, upscale=config.upscale), augment, config.seed, classes, path)
    if as_json:
        show_json({"preview": str(path)})
    else:
        show(str(path))
