"""The training loop of the left atrium networks: one loop, five methods that differ in their loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.network import CornNetwork
from MaskWhatMattersLib.corn.objectives import make_objective
from MaskWhatMattersLib.corn.training_scans import CornScans
from MaskWhatMattersLib.corn.validation import validate
from MaskWhatMattersLib.datasets.training_cases import CornCases
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.training.engine import (
    AveragedWeights,
    OutOfMemoryLadder,
    Rung,
    TrainingLog,
    due,
    estimate_resources,
    format_point,
    load_checkpoint,
    make_fabric,
    prepare_network,
    read_checkpoint,
    save_checkpoint,
    schedule_factor,
    seed_step,
    set_learning_rate,
)
from MaskWhatMattersLib.training.step_losses import Losses


class CornTraining(nn.Module):
    """Network and objective as one module, so that one forward call is one step on any number of processes."""

    def __init__(self, config: CornTrainingConfig, labelled_scans: int) -> None:
        super().__init__()
        self.network = CornNetwork(config.network)
        self.objective = make_objective(
            config.mode,
            config.network,
            config.losses,
            labelled_scans,
            accuracy_layer=config.accuracy_layer,
            seed=config.seed,
        )

    def forward(self, batch: CornBatch, step: int) -> Losses:
        """Losses of a batch."""
        losses: Losses = self.objective(self.network, batch, step)
        return losses


@dataclass(frozen=True)
class Means:
    """With what a training is tried: the first choice, and what is left when memory runs out."""

    device: str
    recomputes: bool = False


def train(
    config: CornTrainingConfig,
    cases: CornCases,
    folder: Path,
    progress: Progress | None = None,
    device: str = "auto",
    *,
    start: dict[str, Tensor] | None = None,
) -> CornNetwork:
    """Train, resuming where the folder left off.

    Where memory runs out, features are recomputed instead of kept, and at last the processor does the work; each try
    goes on from the last checkpoint.

    Args:
        config: Settings.
        cases: Labelled, unlabelled and validation scans.
        folder: Gets the checkpoint and log.csv.
        progress: Told of every step, and of every point of the curves as a log line that `parse_point` reads.
        device: "auto", "cpu" or "cuda".
        start: Weights to start from, as of `CornNetwork.state_dict()`.

    Returns:
        The network on the processor with its final weights (averaged ones where `config.decay` is not 0), in eval mode.

    Raises:
        InputError: Scans or settings that cannot be used, or a checkpoint that was made with other settings.
        JobCancelledError: The user asked to stop; the checkpoint holds every step done.
        JobError: Memory ran out in every way.
    """
    progress = progress or SilentProgress()
    rungs = [Rung("everything kept", Means(device)), Rung("features recomputed", Means(device, recomputes=True))]
    if torch_device(device).type != "cpu":
        rungs.append(Rung("the processor", Means("cpu")))
    ladder = OutOfMemoryLadder(rungs, progress)
    return ladder.run(lambda means: _train(config, cases, folder, progress, means, start))


def _train(
    config: CornTrainingConfig,
    cases: CornCases,
    folder: Path,
    progress: Progress,
    means: Means,
    start: dict[str, Tensor] | None,
) -> CornNetwork:
    fabric = make_fabric(means.device, config.precision)
    fabric.seed_everything(config.seed, verbose=False)
    scans = CornScans(config, cases, progress, fabric.device)
    training = CornTraining(config, len(scans.labelled)).to(fabric.device)
    network = training.network
    if start is not None:
        network.load_state_dict(start)
    network.main.recomputes = network.auxiliary.recomputes = means.recomputes
    prepare_network(network, channels_last=config.channels_last, compile=config.compile)
    averaged = AveragedWeights(network, config.decay) if config.decay else None
    optimizer = torch.optim.SGD(
        [weight for weight in training.parameters() if weight.requires_grad],
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    module, optimizer = fabric.setup(training, optimizer)
    state: dict[str, Any] = {"module": module, "optimizer": optimizer, "step": 0, "steps": 0}
    state["config"] = config.model_dump(mode="json")
    if averaged is not None:
        state["averaged"] = averaged
    load_checkpoint(fabric, state, folder)
    module.train()
    if not state["steps"]:
        state["steps"] = _steps(config, fabric, module, training, scans, progress)
    training.objective.plan(state["steps"])
    log = TrainingLog(folder, state["step"], tensorboard=config.tensorboard, active=fabric.is_global_zero)
    progress.stage("Training", total=state["steps"] - state["step"])
    try:
        while state["step"] < state["steps"]:
            seed = seed_step(config.seed, fabric.global_rank, state["step"])
            factor = schedule_factor(config.course, state["step"], total=state["steps"], warmup=config.warmup)
            set_learning_rate(optimizer, config.learning_rate * factor)
            losses = module(scans.batch(seed), state["step"])
            fabric.backward(losses.total)
            optimizer.step()
            optimizer.zero_grad()
            state["step"] += 1
            training.objective.after_step(network, state["step"])
            if averaged is not None:
                averaged.update(network, state["step"])

            is_last = state["step"] == state["steps"]
            point: dict[str, float] = {}
            if due(state["step"], config.log_every) or is_last:
                point = {"loss": float(losses.total.detach())}
                point |= {name: float(value) for name, value in losses.parts.items()}
            if due(state["step"], config.validate_every) or is_last:
                point |= validate(network, averaged, scans.validation)
            if point:
                log.write(state["step"], point)
                progress.log(format_point(state["step"], **point))
            if due(state["step"], config.save_every) or is_last:
                save_checkpoint(fabric, state, folder)
            progress.step()
    except JobCancelledError:
        save_checkpoint(fabric, state, folder)
        raise
    finally:
        log.close()
    if averaged is not None:
        network.load_state_dict(averaged.state_dict())
    return network.cpu().eval()


def _steps(
    config: CornTrainingConfig,
    fabric: Fabric,
    module: nn.Module,
    training: CornTraining,
    scans: CornScans,
    progress: Progress,
) -> int:
    """Measure a step, say what the training needs, and how many steps fit into the budget."""
    progress.stage("Measuring a step")
    batch = scans.batch(config.seed)
    step = lambda: fabric.backward(module(batch, config.steps).total)  # noqa: E731 - with every loss ramped up
    estimate = estimate_resources(step, steps=config.steps, device=fabric.device, modules=(training,))
    steps = config.steps if config.minutes is None else min(config.steps, estimate.steps_within(config.minutes))
    steps = int(fabric.broadcast(steps))
    estimate = replace(estimate, steps=steps)
    progress.log(f"{steps} steps of {estimate.step_s:.2g} s: {estimate.words()}.")
    return steps


def trained_network(folder: Path) -> tuple[CornNetwork, CornTrainingConfig, int]:
    """The network of a folder's last checkpoint in eval mode, its settings, and the steps done.

    Raises:
        InputError: There is no checkpoint, or it is damaged.
    """
    stored = read_checkpoint(folder)
    prefix = "network."
    try:
        config = CornTrainingConfig.model_validate(stored["config"])
        network = CornNetwork(config.network)
        weights = stored.get("averaged") or {
            name.removeprefix(prefix): value for name, value in stored["module"].items() if name.startswith(prefix)
        }
        network.load_state_dict(weights)
    except (RuntimeError, KeyError, ValueError) as error:
        raise InputError(
            f"The checkpoint in {folder} cannot be read ({type(error).__name__}): it is of another version or damaged."
        ) from error
    return network.eval(), config, int(stored["step"])
