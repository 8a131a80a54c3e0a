"""The parts of a training, made from its plan: engine, loaders."""

import math

import torch

from toolkit.data.cache import open_cache, worth_keeping
from toolkit.data.dataset import Samples, TrainingSamples, ValidationSamples
from toolkit.data.loaders import TrainingLoader, ValidationLoader
from toolkit.progress import Progress
from toolkit.training.ema import running_mean
from toolkit.training.group import Group
from toolkit.training.optim import make_optimizer
from toolkit.training.plan import Plan
from toolkit.training.state import Engine


def make_engine(plan: Plan) -> Engine:
    """The parts of a plan that change while it is trained."""
    on = plan.device.handle
    scaler = torch.amp.GradScaler(on.type, enabled=plan.device.amp is torch.float16)
    optimizer = make_optimizer(plan.config, plan.model.parameters(), on)
    return Engine(plan.model, optimizer, scaler, running_mean(plan.model, plan.config.ema))


def training_loader(plan: Plan, group: Group, largest: int, progress: Progress) -> TrainingLoader:
    """This process's share of the training images, at most so many at a time."""
    config = plan.config
    assert config.workers is not None
    samples: Samples = plan.train
    if config.cache == "disk":
        longest = worth_keeping(config.size * config.upscale, plan.augment.scale[1] * math.sqrt(plan.augment.aspect))
        samples = group.main_first(lambda: open_cache(plan.train, longest, progress=progress))
    return TrainingLoader(
        TrainingSamples(samples, plan.preprocess, plan.augment, config.seed, len(plan.classes)),
        plan.step_images,
        largest,
        config.workers,
        pin_memory=plan.device.handle.type == "cuda",
        rank=group.rank,
        world=group.world,
    )


def validation_loader(plan: Plan, group: Group) -> ValidationLoader:
    """This process's share of the validation images."""
    assert plan.config.workers is not None
    samples = ValidationSamples(plan.val, plan.preprocess, len(plan.classes))
    return ValidationLoader(samples, plan.config.workers, rank=group.rank, world=group.world)


def at_a_time(plan: Plan, group: Group) -> int:
    """Images of a batch that each process computes."""
    return -(-int(plan.config.batch) // group.world)
