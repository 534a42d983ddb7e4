"""The pretraining loop of MASS: episodes of unlabelled scans, averaged weights, resumable at every step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.mass.episodes import EpisodeDrawer, Episodes
from MaskWhatMattersLib.mass.in_context_learner import InContextLearner
from MaskWhatMattersLib.mass.pretrain_cache import PreparedScans
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig
from MaskWhatMattersLib.mass.pretrain_picture import episode_png
from MaskWhatMattersLib.networks.mass_network import MassNetwork
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.training.engine import (
    AveragedWeights,
    OutOfMemoryLadder,
    RunningMeans,
    TrainingLog,
    due,
    estimate_resources,
    format_picture,
    format_point,
    load_checkpoint,
    make_fabric,
    prepare_network,
    save_checkpoint,
    seed_step,
    set_learning_rate,
    warmup_cosine,
)
from MaskWhatMattersLib.training.lamb import Lamb
from MaskWhatMattersLib.training.means import Means, portion_rungs
from MaskWhatMattersLib.training.parameter_groups import parameter_groups
from MaskWhatMattersLib.training.throughput import Throughput


def pretrain(
    config: MassPretrainConfig,
    scans: PreparedScans,
    folder: Path,
    progress: Progress | None = None,
    device: str = "auto",
) -> None:
    """Pretrain, resuming where the folder left off, with whatever number of processes.

    Where memory runs out, a batch is taken in portions whose gradients add up, and at last the processor does the work;
    each try goes on from the last checkpoint.

    Args:
        config: Settings.
        scans: Prepared scans with their proposals.
        folder: Gets the checkpoint and log.csv.
        progress: Told of every step; of every point of the curves and every picture as a log line.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: Settings that cannot be used, or a checkpoint that was made with other settings.
        JobCancelledError: The user asked to stop; the checkpoint holds every step done.
        JobError: Memory ran out in every way.
    """
    progress = progress or SilentProgress()
    rungs = portion_rungs(device, [n for n in (2, 4) if n <= config.batch_size])
    OutOfMemoryLadder(rungs, progress).run(lambda means: _pretrain(config, scans, folder, progress, means))


def _pretrain(config: MassPretrainConfig, scans: PreparedScans, folder: Path, progress: Progress, means: Means) -> None:
    fabric = make_fabric(means.device, config.precision)
    fabric.seed_everything(config.seed, verbose=False)
    learner = InContextLearner(MassNetwork(config.network)).to(fabric.device)
    prepare_network(learner, channels_last=config.channels_last, compile=config.compile)
    drawer = EpisodeDrawer(config, scans.on(fabric.device, config), fabric.global_rank)
    average = AveragedWeights(learner.network, config.averaging)
    module, optimizer = fabric.setup(learner, _optimizer(config, learner))
    recent = RunningMeans()
    state: dict[str, Any] = {"module": module, "optimizer": optimizer, "average": average, "recent": recent}
    state |= {"step": 0, "steps": 0, "config": config.model_dump(mode="json")}
    load_checkpoint(fabric, state, folder)
    module.train()
    if not state["steps"]:
        state["steps"] = _steps(config, fabric, module, drawer, progress)
    log = TrainingLog(folder, state["step"], tensorboard=config.tensorboard, active=fabric.is_global_zero)
    meter = Throughput(fabric.device, processes=fabric.world_size)
    progress.stage("Pretraining", total=state["steps"] - state["step"])
    try:
        while state["step"] < state["steps"]:
            seed_step(config.seed, fabric.global_rank, state["step"])
            set_learning_rate(optimizer, config.learning_rate * _factor(config, state["step"], state["steps"]))
            with meter.loading():
                episodes = drawer.batch(state["step"])
            for part in portions(episodes, means.portions):
                recent.add(_backward(fabric, module, part, config.batch_size))
            if config.clip:
                fabric.clip_gradients(module, optimizer, max_norm=config.clip, error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad()
            state["step"] += 1
            average.update(learner.network, state["step"])
            meter.step(samples=config.batch_size, tokens=config.batch_size * config.crop**3)

            is_last = state["step"] == state["steps"]
            if due(state["step"], config.log_every) or is_last:
                point = _finite(recent.take()) | meter.report()
                log.write(state["step"], point)
                progress.log(format_point(state["step"], **point))
            if due(state["step"], config.picture_every) and fabric.is_global_zero:
                progress.log(format_picture(state["step"], _picture(fabric, learner, average, drawer.picture())))
            if due(state["step"], config.save_every) or is_last:
                save_checkpoint(fabric, state, folder)
            progress.step()
    except JobCancelledError:
        save_checkpoint(fabric, state, folder)
        raise
    finally:
        log.close()


def portions(episodes: Episodes, count: int) -> Iterator[Episodes]:
    """The batch in at most so many parts of nearly equal size."""
    if count == 1:
        yield episodes
        return
    for parts in zip(*(part.tensor_split(count) for part in episodes), strict=True):
        if len(parts[0]):
            yield Episodes(*parts)


def _optimizer(config: MassPretrainConfig, learner: nn.Module) -> Optimizer:
    groups = parameter_groups(learner.named_parameters(), config.weight_decay)
    if config.optimizer == "lamb":
        return Lamb(groups, lr=config.learning_rate, betas=config.betas)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def _factor(config: MassPretrainConfig, step: int, steps: int) -> float:
    return warmup_cosine(step, warmup=round(config.warmup * steps), total=steps, floor=config.floor)


def _steps(
    config: MassPretrainConfig, fabric: Fabric, module: nn.Module, drawer: EpisodeDrawer, progress: Progress
) -> int:
    """Measure a step, say what the training needs, and how many steps fit into the budget."""
    progress.stage("Measuring a step")
    step = lambda: fabric.backward(module(drawer.batch(0)).total)  # noqa: E731
    found = estimate_resources(step, steps=config.steps, device=fabric.device, modules=(module,))
    steps = config.steps if config.minutes is None else min(config.steps, found.steps_within(config.minutes))
    steps = int(fabric.broadcast(steps))
    progress.log(f"{steps} steps of {found.step_s:.2g} s: {replace(found, steps=steps).words()}.")
    return steps


def _backward(fabric: Fabric, module: nn.Module, part: Episodes, episodes: int) -> dict[str, Tensor]:
    """Gradients of a part of a batch, by its share of the episodes; returns what is worth a line in the log."""
    losses = module(part)
    fabric.backward(losses.total * (len(part.query) / episodes))
    return {"loss": losses.total.detach(), **losses.parts}


def _finite(values: dict[str, float]) -> dict[str, float]:
    """The values, unless the loss is no number any more.

    Raises:
        InputError: It is none.
    """
    if not math.isfinite(values["loss"]):
        raise InputError(
            f"The pretraining has diverged: its loss is {values['loss']}. Choose a lower learning_rate or a longer "
            "warmup and another output folder, or the precision fp32."
        )
    return values


@torch.no_grad()
def _picture(fabric: Fabric, learner: InContextLearner, average: AveragedWeights, episodes: Episodes) -> bytes:
    with average.applied_to(learner.network), fabric.autocast():
        logits = learner.network(episodes.query, episodes.reference, episodes.reference_masks)
    return episode_png(episodes, logits.float())
