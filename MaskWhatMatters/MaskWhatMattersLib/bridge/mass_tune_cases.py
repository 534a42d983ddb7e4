"""What makes marked volumes cases to tune on: how many, named alike, and which of them only measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from MaskWhatMattersLib.bridge.adapt_cases import LABEL_CLASSES, Pair, is_node, name_of
from MaskWhatMattersLib.bridge.mass_examples import marked_in, same_name

FEWEST_CASES, MOST_CASES = 3, 10
"""Fewer leave none to measure the result; with more, a network of one's own is the better choice."""


def case_problems(scene: Any, cases: Sequence[Pair], wanted: Sequence[str]) -> list[str]:
    """Why cases that fit together one by one cannot be tuned on together, one sentence each.

    Args:
        scene: Where the nodes are.
        cases: IDs of volumes and of segmentations or label maps.
        wanted: Names of the segments to learn.
    """
    problems = []
    if len(cases) > MOST_CASES:
        problems.append(
            f"There are {len(cases)} cases; a task is tuned on at most {MOST_CASES}. Remove some, or train a network "
            "of your own on all of them (module Mask What Matters, tab Finetune)."
        )
    marked = [_marked(scene, pair, wanted) for pair in cases]
    called = [name_of(scene, pair.image) for pair in cases]
    if wanted:
        problems += [
            f"{name} has none of the ticked segments. Draw them, or remove this case."
            for name, found in zip(called, marked, strict=True)
            if not found
        ]
    for place, found in enumerate(marked):
        others = [name for other, names in enumerate(marked) if other != place for name in names]
        alone = [name for name in found if not any(same_name(name, other) for other in others)]
        if alone and others:
            problems.append(
                f"{', '.join(alone)}: in no other case than {called[place]}. Give the same structure the same name in "
                "all cases, or leave it out."
            )
    return problems


def incomplete_cases(scene: Any, cases: Sequence[Pair], wanted: Sequence[str]) -> list[str]:
    """One sentence for each case in which a segment is not marked."""
    notes = []
    for pair in cases:
        found = _marked(scene, pair, wanted)
        missing = [name for name in wanted if not any(same_name(name, other) for other in found)]
        if missing:
            notes.append(f"{name_of(scene, pair.image)} has no {', '.join(missing)}.")
    return notes


def measuring_cases(scene: Any, cases: Sequence[Pair], wanted: Sequence[str]) -> set[int]:
    """Indices of the cases that the job will hold out to measure; none while the packages are missing."""
    try:
        from MaskWhatMattersLib.mass.tune_cases import held_out_cases
        from MaskWhatMattersLib.mass.tune_config import MassTuneConfig
    except ImportError:
        return set()
    config, names = MassTuneConfig(), [_marked(scene, pair, wanted) for pair in cases]
    values = [
        {value for value, name in enumerate(wanted) if any(same_name(name, other) for other in found)}
        for found in names
    ]
    return set(held_out_cases(values, config.held_out, config.seed))


def too_few(count: int) -> str:
    """That there are not enough cases, and what to do."""
    found = {0: "none", 1: "1"}.get(count, str(count))
    return (
        f"Tuning takes {FEWEST_CASES} to {MOST_CASES} cases, of which it holds one out to measure; there "
        f"{'is' if count == 1 else 'are'} {found}. Add a volume with its segmentation."
    )


def _marked(scene: Any, pair: Pair, wanted: Sequence[str]) -> list[str]:
    """Names of the wanted segments that a case has."""
    node = scene.GetNodeByID(pair.label) if is_node(pair.label) else None
    if node is None or not any(node.IsA(one) for one in LABEL_CLASSES):
        return []
    return [one.name for one in marked_in(node) if any(same_name(one.name, name) for name in wanted)]
