"""How a pretraining descends: which optimizer, and what of it changes with the step."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import Optimizer

from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.training.lamb import Lamb
from MaskWhatMattersLib.training.parameter_groups import parameter_groups
from MaskWhatMattersLib.training.schedules import warmup_cosine


def make_optimizer(config: PretrainConfig, method: nn.Module) -> Optimizer:
    """AdamW or LAMB over all parameters that learn."""
    groups = parameter_groups(method.named_parameters(), config.weight_decay)
    if config.optimizer == "lamb":
        return Lamb(groups, lr=config.learning_rate, betas=config.betas)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def follow_schedule(optimizer: Optimizer, config: PretrainConfig, step: int, steps: int) -> None:
    """Set learning rate and weight decay of a step, counted from 0."""
    factor = warmup_cosine(step, warmup=round(config.warmup * steps), total=steps, floor=config.floor)
    decay = config.weight_decay
    if config.weight_decay_end is not None:
        rise = 0.5 * (1 - math.cos(math.pi * min(1.0, step / max(1, steps - 1))))
        decay += (config.weight_decay_end - decay) * rise
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * factor
        if group["weight_decay"]:
            group["weight_decay"] = decay


def steps_of(config: PretrainConfig, images: int, processes: int = 1) -> int:
    """Optimizer steps: those of the settings, or as many as the epochs take."""
    if config.epochs is None or images == 0:
        return config.steps
    return max(1, math.ceil(config.epochs * images / (config.batch_size * processes)))
