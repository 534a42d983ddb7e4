"""The labelled scans that a task is tuned on: where they lie, and which of them only measure."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from MaskWhatMattersLib.mass.example import Example

FEWEST_WITH_HELD_OUT = 3


class CaseFiles(BaseModel):
    """A scan and its label map on the same voxels, in files.

    Attributes:
        image: Any format that `read_volume` reads.
        label_map: Integers, 0 is the background; masks as channels may overlap.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Path
    label_map: Path


@dataclass(frozen=True, eq=False)
class TuneCases:
    """Labelled scans of a tuning.

    Attributes:
        examples: One per case.
        held_out: Which only measure, by index.
    """

    examples: tuple[Example, ...]
    held_out: tuple[int, ...]

    @property
    def learned(self) -> tuple[Example, ...]:
        """Those that are learned from."""
        return tuple(each for place, each in enumerate(self.examples) if place not in self.held_out)

    @property
    def measured(self) -> tuple[Example, ...]:
        """Those that only measure."""
        return tuple(self.examples[place] for place in self.held_out)


def held_out_cases(labels: Sequence[Collection[int]], share: float, seed: int) -> tuple[int, ...]:
    """Which cases only measure: a share of three or more, at least one, so that every label is still learned.

    Args:
        labels: Values that each case has.
        share: Of the cases; 0: none.
        seed: Of the choice.

    Returns:
        Indices, rising; empty where no case can be spared.
    """
    if len(labels) < FEWEST_WITH_HELD_OUT or not share:
        return ()
    wanted = max(1, int(share * len(labels)))
    order = random.Random(seed).sample(range(len(labels)), len(labels))
    everything = set().union(*labels)
    chosen: list[int] = []
    for index in order:
        kept = [set(values) for place, values in enumerate(labels) if place not in (*chosen, index)]
        if len(chosen) < wanted and kept and set().union(*kept) == everything:
            chosen.append(index)
    return tuple(sorted(chosen))
