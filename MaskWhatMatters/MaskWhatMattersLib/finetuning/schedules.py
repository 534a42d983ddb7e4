"""Which part of a network learns at a step of a finetuning, and how fast."""

from __future__ import annotations

from typing import Literal, NamedTuple

from MaskWhatMattersLib.training.schedules import poly, warmup_cosine

ScheduleName = Literal["warmup", "sawtooth", "frozen"]
Stage = Literal["head", "all"]


class Phase(NamedTuple):
    """What holds at one step.

    Attributes:
        stage: "head": the encoder stands still; "all": everything learns.
        factor: Of the learning rate of whatever learns.
    """

    stage: Stage
    factor: float


def phase_at(schedule: ScheduleName, step: int, *, total: int, warmup: float, floor: float = 0.01) -> Phase:
    """The phase of a step, counted from 0; it depends on nothing else, so a resumed run is where it was.

    "sawtooth" is the schedule of the OpenMind benchmark (arXiv:2412.17041): the head alone, up and down within
    `warmup`; then everything, up for as long again, and poly down to the end.

    Args:
        schedule: Its name.
        step: Steps done.
        total: Steps of the training.
        warmup: Share of the steps with a growing learning rate.
        floor: Factor at the end of a cosine.
    """
    ramp = round(warmup * total)
    if schedule != "sawtooth":
        return Phase(
            "head" if schedule == "frozen" else "all", warmup_cosine(step, warmup=ramp, total=total, floor=floor)
        )
    if step < ramp:
        return Phase("head", _tooth(step, up=ramp // 2, total=ramp))
    return Phase("all", _tooth(step - ramp, up=ramp, total=total - ramp))


def _tooth(step: int, *, up: int, total: int) -> float:
    """Linear up, then poly down to 0 at `total`."""
    if step < up:
        return (step + 1) / up
    return poly(step - up, total=max(1, total - up))
