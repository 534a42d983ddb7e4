"""The tuning loop: a task and, as its yardstick, a plain network learn the same few cases side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.mass.baseline_network import baseline_network
from MaskWhatMattersLib.mass.example import Example
from MaskWhatMattersLib.mass.retrieval import mean_tokens
from MaskWhatMattersLib.mass.segment import InContextSegmenter
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.mass.tune_cases import TuneCases
from MaskWhatMattersLib.mass.tune_config import MassTuneConfig
from MaskWhatMattersLib.mass.tune_learner import Learner
from MaskWhatMattersLib.mass.tune_scans import TuneBatch, TuneScan, TuneScans, on_device, scan_dice, tune_scan
from MaskWhatMattersLib.mass.tuned_model import task_note
from MaskWhatMattersLib.mass.tuned_network import TOKENS, TunedNetwork
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.training.engine import (
    OutOfMemoryLadder,
    TrainingLog,
    due,
    estimate_resources,
    format_point,
    load_checkpoint,
    make_fabric,
    save_checkpoint,
    step_seed,
    warmup_cosine,
)
from MaskWhatMattersLib.training.means import Means, portion_rungs

_OVERLAP = 0.25  # of windows on held-out scans
_MEASURING = 3  # at most the budget through this goes into measuring
_BASELINE_DECAY = 1e-2


def tune(
    config: MassTuneConfig,
    cases: TuneCases,
    folder: Path,
    progress: Progress | None = None,
    device: str = "auto",
    *,
    model: str | Path | None = None,
) -> None:
    """Tune, resuming where the folder left off.

    Tokens start as their mean over the cases that are learned from, which is in-context segmentation, and whose Dice
    is the first point of the curve. What is best on the held-out cases is kept, be it that. The baseline gets as much
    time. Where memory runs out, a batch is taken in portions, and at last the processor does the work.

    Args:
        config: Settings.
        cases: Which are learned from, and which measure.
        folder: Gets the checkpoint and log.csv.
        progress: Told of every step, and of every point of the curves as a log line that `parse_point` reads.
        device: "auto", "cpu", "cuda" or "cuda:1".
        model: To start from, name or file; None: the default.

    Raises:
        InputError: Cases, model or settings that cannot be used, or a checkpoint that was made with other settings.
        JobCancelledError: The user asked to stop; the checkpoint holds every step done.
        JobError: Memory ran out in every way.
    """
    progress = progress or SilentProgress()
    rungs = portion_rungs(device, [count for count in (2, 4) if config.batch_size % count == 0])
    OutOfMemoryLadder(rungs, progress).run(lambda means: _Tuning(config, cases, folder, progress, means, model).run())


class _Tuning:
    """One try with some means; everything that is there throughout the loop."""

    def __init__(
        self,
        config: MassTuneConfig,
        cases: TuneCases,
        folder: Path,
        progress: Progress,
        means: Means,
        model: str | Path | None,
    ) -> None:
        self.config, self.folder, self.progress, self.means = config, folder, progress, means
        self.fabric = make_fabric(means.device, config.precision)
        self.fabric.seed_everything(config.seed, verbose=False)
        segmenter = InContextSegmenter.load(model, str(self.fabric.device), config.precision)
        task = segmenter.encode(cases.learned, spacing_mm=config.spacing_mm, progress=progress)
        self.window = config.window or segmenter.network.config.window
        progress.stage("Preparing the cases", len(cases.examples))
        learned = [self._prepared(example, task, segmenter) for example in cases.learned]
        self.held_out = [
            on_device(self._prepared(example, task, segmenter), self.fabric.device) for example in cases.measured
        ]
        self.scans = TuneScans(learned, self.window, config.view, config.foreground, self.fabric.device)
        self.values = [label.value for label in task.labels]
        self.tuned = self._task_learner(segmenter, task)
        self.state: dict[str, Any] = {"tuned": self.tuned, "step": 0, "steps": 0, "settled": 0, "point": {}}
        self.state |= {"baseline_steps": 0, "every": 0, "before": {}, "config": config.model_dump(mode="json")}
        self.state["task"] = task_note(task, cases)
        self.baseline: Learner | None = None
        if config.has_baseline(len(cases.examples)):
            self.baseline = self.state["baseline"] = self._baseline_learner(len(task.labels))
        load_checkpoint(self.fabric, self.state, folder)

    def run(self) -> None:
        """Learn until the last step, or until the held-out cases say that nothing more is gained."""
        config, state, progress = self.config, self.state, self.progress
        log = TrainingLog(self.folder, state["step"], tensorboard=config.tensorboard)
        try:
            if not state["steps"]:
                self._begin()
            if state["before"] and not state["step"]:
                self._tell(log, {"dice": state["before"]["dice"]})
            progress.stage("Tuning", total=state["steps"] - state["step"])
            if state["settled"] < state["step"]:  # a cancel came in between
                self._settle(log)
            while not self._is_done():
                losses = self._learn()
                state["step"] += 1
                if due(state["step"], config.log_every) or self._is_done():
                    state["point"] = _checked({name: float(loss) for name, loss in losses.items()})
                self._settle(log)
                progress.step()
        except JobCancelledError:
            if state["steps"]:
                save_checkpoint(self.fabric, state, self.folder)
            raise
        finally:
            log.close()

    def _begin(self) -> None:
        """Measure the examples alone, and plan how many steps there will be."""
        started = time.perf_counter()
        if self.held_out:
            self.progress.stage("Measuring the examples alone")
            self.state["before"] = self._measure(self.tuned)
        self._plan(time.perf_counter() - started)

    def _plan(self, measuring_s: float) -> None:
        config, state = self.config, self.state
        self.progress.stage("Measuring a step")
        looks = config.validations
        device = self.fabric.device
        found = estimate_resources(
            lambda: self.tuned.backward(self._batches(self.tuned, 0)),
            steps=config.recipe.steps,
            device=device,
            modules=(self.tuned.network,),
        )
        state["steps"] = config.recipe.steps
        if config.minutes is not None:
            minutes = config.minutes / 2 if self.baseline is not None else config.minutes
            if self.held_out:
                looks = max(1, min(looks, int(60 * minutes / _MEASURING / measuring_s)))
                minutes = max(minutes - looks * measuring_s / 60, minutes / _MEASURING)
            state["steps"] = min(state["steps"], found.steps_within(minutes))
        state["every"] = math.ceil(state["steps"] / looks)
        words = f"{state['steps']} steps of {found.step_s:.2g} s: {replace(found, steps=state['steps']).words()}"
        if self.baseline is not None:
            baseline = self.baseline
            plain = estimate_resources(
                lambda: baseline.backward(self._batches(baseline, 1)),
                steps=1,
                device=device,
                modules=(baseline.network,),
            )
            state["baseline_steps"] = max(1, round(state["steps"] * found.step_s / plain.step_s))
            words += f"; as long for {state['baseline_steps']} steps of a plain U-Net"
        self.progress.log(f"{words}.")

    def _learn(self) -> dict[str, Tensor]:
        """One step of the task, and as many of the baseline as take as long."""
        state, losses = self.state, {}
        if self._still_gains():
            factor = warmup_cosine(state["step"], warmup=0, total=state["steps"])
            losses["loss"] = self.tuned.learn(self._batches(self.tuned, 0), factor)
        if self.baseline is not None:
            until = (state["step"] + 1) * state["baseline_steps"] // state["steps"]
            while self.baseline.step < until:
                factor = warmup_cosine(self.baseline.step, warmup=0, total=state["baseline_steps"])
                losses["baseline_loss"] = self.baseline.learn(self._batches(self.baseline, 1), factor)
        return losses

    def _settle(self, log: TrainingLog) -> None:
        """What follows a step: measuring, a point of the curves, a checkpoint."""
        state, is_last = self.state, self._is_done()
        if self.held_out and (due(state["step"], state["every"]) or is_last):
            if self._still_gains():
                state["point"]["dice"] = self._measure(self.tuned)["dice"]
                if not self._still_gains():
                    self.progress.log(f"Step {state['step']}: tuning gains nothing more on the held-out cases.")
            if self.baseline is not None:
                state["point"]["baseline_dice"] = self._measure(self.baseline)["dice"]
            self.progress.stage("Tuning", total=state["steps"] - state["step"])
        if state["point"]:
            self._tell(log, state["point"])
        state["settled"], state["point"] = state["step"], {}
        if due(state["step"], self.config.save_every) or self._is_done():
            save_checkpoint(self.fabric, state, self.folder)

    def _tell(self, log: TrainingLog, point: dict[str, float]) -> None:
        log.write(self.state["step"], point)
        self.progress.log(format_point(self.state["step"], **point))

    def _still_gains(self) -> bool:
        return self.tuned.waited < self.config.patience

    def _is_done(self) -> bool:
        if self.baseline is None and not self._still_gains():
            return True
        return bool(self.state["step"] >= self.state["steps"])

    def _measure(self, learner: Learner) -> dict[str, float]:
        """Dice of each label by its value, and their mean under "dice"; the weights are kept if it is the best."""
        with learner.measured() as network:
            rows = [scan_dice(network, scan, self.window, _OVERLAP, self.progress) for scan in self.held_out]
            columns = zip(*rows, strict=True)
            scores = {str(value): _mean(column) for value, column in zip(self.values, columns, strict=True)}
            scores["dice"] = _mean(scores.values())
            learner.offer(scores)
        return scores

    def _batches(self, learner: Learner, stream: int) -> list[TuneBatch]:
        """The batch of the next step, in portions."""
        count = self.config.batch_size // self.means.portions
        seeds = [step_seed(self.config.seed, stream, learner.step, part) for part in range(self.means.portions)]
        return [self.scans.batch(count, seed) for seed in seeds]

    def _prepared(self, example: Example, task: Task, segmenter: InContextSegmenter) -> TuneScan:
        scan = tune_scan(example, task.labels, segmenter.preprocessing, task.spacing_mm, self.config.seed)
        self.progress.step()
        return scan

    def _task_learner(self, segmenter: InContextSegmenter, task: Task) -> Learner:
        config, recipe = self.config, self.config.recipe
        tokens = mean_tokens([torch.from_numpy(scale) for scale in task.tokens], task.present)
        network = TunedNetwork(segmenter.network, tokens, config.mode)
        named = [(name, each) for name, each in network.named_parameters() if each.requires_grad]
        rates = {True: recipe.token_rate, False: recipe.network_rate}
        groups = [
            {
                "params": [each for name, each in named if name.startswith(TOKENS) is of_tokens],
                "rate": rate,
                "weight_decay": recipe.weight_decay,
            }
            for of_tokens, rate in rates.items()
        ]
        return Learner(self.fabric, network, [each for each in groups if each["params"]], recipe.decay, config.clip)

    def _baseline_learner(self, labels: int) -> Learner:
        config = self.config
        network = baseline_network(labels, config.baseline_width, self.window)
        parameters = list(network.parameters())
        group = {"params": parameters, "rate": config.baseline_rate, "weight_decay": _BASELINE_DECAY}
        return Learner(self.fabric, network, [group], 0.0, config.clip)


def _mean(values: Iterable[float]) -> float:
    """Of the numbers among the values; NaN without any."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _checked(point: dict[str, float]) -> dict[str, float]:
    """The losses of a step.

    Raises:
        InputError: One is no number any more.
    """
    for name, value in point.items():
        if not math.isfinite(value):
            raise InputError(
                f"The tuning has diverged: its {name} is {value}. Choose a lower token_rate, network_rate or "
                "baseline_rate and another output folder, or the precision fp32."
            )
    return point
