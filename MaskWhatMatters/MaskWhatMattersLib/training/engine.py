"""What every training loop imports; each name has its own module beside this one."""

from __future__ import annotations

from MaskWhatMattersLib.training.averaging import AveragedWeights
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT, load_checkpoint, read_checkpoint, save_checkpoint
from MaskWhatMattersLib.training.fabric import make_fabric, prepare_network, uncompiled
from MaskWhatMattersLib.training.logs import RunningMeans, TrainingLog
from MaskWhatMattersLib.training.points import format_picture, format_point, parse_picture, parse_point
from MaskWhatMattersLib.training.resource_estimate import ResourceEstimate
from MaskWhatMattersLib.training.resources import OutOfMemoryLadder, Rung, estimate_resources
from MaskWhatMattersLib.training.schedules import due, poly, schedule_factor, set_learning_rate, warmup_cosine
from MaskWhatMattersLib.training.seeds import seed_step, step_seed

__all__ = [
    "CHECKPOINT",
    "AveragedWeights",
    "OutOfMemoryLadder",
    "ResourceEstimate",
    "Rung",
    "RunningMeans",
    "TrainingLog",
    "due",
    "estimate_resources",
    "format_picture",
    "format_point",
    "load_checkpoint",
    "make_fabric",
    "parse_picture",
    "parse_point",
    "poly",
    "prepare_network",
    "read_checkpoint",
    "save_checkpoint",
    "schedule_factor",
    "seed_step",
    "set_learning_rate",
    "step_seed",
    "uncompiled",
    "warmup_cosine",
]
