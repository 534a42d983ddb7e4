"""The training loop of finetuning: one loop, three tasks that differ in their network, images and measures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from MaskWhatMattersLib.datasets.image_cases import ImageCases, Split
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.optimizer import follow_phase, make_optimizer, set_stage
from MaskWhatMattersLib.finetuning.schedules import phase_at
from MaskWhatMattersLib.finetuning.tasks import Task, make_task
from MaskWhatMattersLib.finetuning.transfer import StartEncoder, transfer
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.training.best_weights import BestWeights
from MaskWhatMattersLib.training.engine import (
    OutOfMemoryLadder,
    TrainingLog,
    due,
    estimate_resources,
    format_point,
    load_checkpoint,
    make_fabric,
    prepare_network,
    save_checkpoint,
    seed_step,
    step_seed,
    uncompiled,
)
from MaskWhatMattersLib.training.means import Means, portion_rungs
from MaskWhatMattersLib.training.step_losses import Losses
from MaskWhatMattersLib.training.throughput import Throughput

_STAGES = {"head": "The encoder stands still; the head learns.", "all": "Encoder and head learn."}


class TaskStep(nn.Module):
    """Network and loss of a task as one module, so that one forward call is one step on any number of processes."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, batch: Any) -> Losses:
        """Losses of a batch."""
        return self._loss(batch)


def train(
    config: FinetuneConfig,
    cases: ImageCases,
    folder: Path,
    progress: Progress | None = None,
    device: str = "auto",
    *,
    start: StartEncoder | None = None,
) -> None:
    """Finetune, resuming where the folder left off, with whatever number of processes.

    The step that is best on the validation split is kept; the test split is looked at once, after the last step. Where
    memory runs out, a batch is taken in portions whose gradients add up, and at last the processor does the work; each
    try goes on from the last checkpoint.

    Args:
        config: Settings.
        cases: Images with their splits and labels.
        folder: Gets the checkpoint and log.csv.
        progress: Told of every step, and of every point of the curves as a log line that `parse_point` reads; names
            of validation measures begin with val_.
        device: "auto", "cpu", "cuda" or "cuda:1".
        start: Encoder to start from; None: random weights.

    Raises:
        InputError: Images, labels or settings that cannot be used, or a checkpoint that was made with other settings.
        ModelFileError: The start model is another network.
        JobCancelledError: The user asked to stop; the checkpoint holds every step done.
        JobError: Memory ran out in every way.
    """
    progress = progress or SilentProgress()
    rungs = portion_rungs(device, [count for count in (2, 4) if config.batch_size % count == 0])
    OutOfMemoryLadder(rungs, progress).run(lambda means: _train(config, cases, folder, progress, means, start))


def _train(
    config: FinetuneConfig,
    cases: ImageCases,
    folder: Path,
    progress: Progress,
    means: Means,
    start: StartEncoder | None,
) -> None:
    fabric = make_fabric(means.device, config.precision)
    fabric.seed_everything(config.seed, verbose=False)
    portion = config.model_copy(update={"batch_size": config.batch_size // means.portions})
    task = make_task(portion, cases, fabric.device, progress)
    network = task.network
    if start is not None:
        _begin_with(start, network, progress)
    prepare_network(network, channels_last=config.channels_last, compile=config.compile)
    module, optimizer = fabric.setup(TaskStep(task), make_optimizer(config, network))
    best = BestWeights()
    state: dict[str, Any] = {"module": module, "optimizer": optimizer, "best": best, "step": 0, "steps": 0}
    state |= {"stage": "", "point": {}, "settled": 0, "test": {}, "config": config.model_dump(mode="json")}
    state["card"] = _card_state(task)
    load_checkpoint(fabric, state, folder)
    if not state["steps"]:
        state["steps"] = _steps(config, fabric, module, task, progress)
    log = TrainingLog(folder, state["step"], tensorboard=config.tensorboard, active=fabric.is_global_zero)
    meter = Throughput(fabric.device, processes=fabric.world_size)
    tokens = math.prod(side // part for side, part in zip(config.size, config.encoder.patch_size, strict=True))

    def enter(stage: str) -> None:
        """Let the encoder learn or stand still from here on; the work of a step differs."""
        state["stage"] = stage
        set_stage(network, stage)
        few = task.batch(config.seed)
        meter.count(lambda: fabric.backward(module(few).total), portion.batch_size, (network,))
        progress.log(_STAGES[stage])

    def settle() -> None:
        """What follows a step: validation, a point of the curves, a checkpoint."""
        is_last = state["step"] == state["steps"]
        if cases.of("val") and (due(state["step"], config.validate_every) or is_last):
            scores = _evaluated(fabric, task, "val", progress)
            best.offer(state["step"], scores, task.metric, network)
            state["point"] |= {f"val_{name}": value for name, value in scores.items()}
            set_stage(network, state["stage"])
            progress.stage("Finetuning", total=state["steps"] - state["step"])
            meter.report()  # what follows is measured without the validation
        if state["point"]:
            log.write(state["step"], state["point"])
            progress.log(format_point(state["step"], **state["point"]))
        state["settled"], state["point"] = state["step"], {}
        if due(state["step"], config.save_every) or is_last:
            save_checkpoint(fabric, state, folder)

    progress.stage("Finetuning", total=state["steps"] - state["step"])
    try:
        if state["stage"] and state["step"] < state["steps"]:
            enter(state["stage"])
        if state["settled"] < state["step"]:  # a cancel came in between
            settle()
        while state["step"] < state["steps"]:
            phase = phase_at(
                config.schedule, state["step"], total=state["steps"], warmup=config.warmup, floor=config.floor
            )
            if phase.stage != state["stage"]:
                enter(phase.stage)
            follow_phase(optimizer, config.learning_rate, phase)
            seed_step(config.seed, fabric.global_rank, state["step"])
            losses = []
            for number in range(means.portions):
                with meter.loading():
                    batch = task.batch(step_seed(config.seed, fabric.global_rank, state["step"], number))
                losses.append(module(batch))
                fabric.backward(losses[-1].total / means.portions)
            if config.clip:
                fabric.clip_gradients(module, optimizer, max_norm=config.clip, error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad()
            state["step"] += 1
            meter.step(samples=config.batch_size, tokens=config.batch_size * tokens)
            if due(state["step"], config.log_every) or state["step"] == state["steps"]:
                state["point"] = _means(losses) | meter.report()
            settle()
            progress.step()
        if cases.of("test") and not state["test"]:
            with best.applied_to(network):
                state["test"] = _evaluated(fabric, task, "test", progress)
            save_checkpoint(fabric, state, folder)
    except JobCancelledError:
        save_checkpoint(fabric, state, folder)
        raise
    finally:
        log.close()


def _begin_with(start: StartEncoder, network: nn.Module, progress: Progress) -> None:
    """Take over the encoder, and say what became of every tensor."""
    encoder: Any = network.encoder
    report = transfer(encoder, start.weights, start.card.name, config=start.config)
    inside = set(map(id, encoder.parameters()))
    new = sum(id(parameter) not in inside for parameter in network.parameters())
    progress.log(f"{report.text} {new} tensors of the head start at random.")


def _evaluated(fabric: Fabric, task: Task, split: Split, progress: Progress) -> dict[str, float]:
    """Measures on a split; the same in every process, so that all select the same step."""
    task.network.eval()
    with torch.no_grad(), fabric.autocast(), uncompiled(task.network):
        scores = task.evaluate(split, progress)
    return {name: float(value) for name, value in fabric.broadcast(scores).items()}


def _steps(config: FinetuneConfig, fabric: Fabric, module: nn.Module, task: Task, progress: Progress) -> int:
    """Measure a step, say what the training needs, and how many steps fit into the budget."""
    progress.stage("Measuring a step")
    module.train()
    batch = task.batch(config.seed)
    step = lambda: fabric.backward(module(batch).total)  # noqa: E731
    found = estimate_resources(step, steps=config.steps, device=fabric.device, modules=(task.network,))
    steps = config.steps if config.minutes is None else min(config.steps, found.steps_within(config.minutes))
    steps = int(fabric.broadcast(steps))
    progress.log(f"{steps} steps of {found.step_s:.2g} s: {replace(found, steps=steps).words()}.")
    return steps


def _means(losses: list[Losses]) -> dict[str, float]:
    """The loss and its parts over the portions of a step.

    Raises:
        InputError: The loss is no number any more.
    """
    loss = float(torch.stack([each.total.detach() for each in losses]).mean())
    if not math.isfinite(loss):
        raise InputError(
            f"The finetuning has diverged: its loss is {loss}. Choose a lower learning_rate or a longer warmup and "
            "another output folder, or the precision fp32."
        )
    parts = {name: float(torch.stack([each.parts[name] for each in losses]).mean()) for name in losses[0].parts}
    return {"loss": loss} | parts


def _card_state(task: Task) -> dict[str, Any]:
    """What the card will say, in types that a checkpoint may hold."""
    parts = task.card_parts()
    labels = [label.model_dump(mode="json") for label in parts.labels]
    return {"architecture": parts.architecture, "config": parts.config, "labels": labels}
