"""The cases of the tab "Tune on my cases": volumes with what is marked on them, and which segments are learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import LABEL_CLASSES, Pair, is_node, name_of
from MaskWhatMattersLib.bridge.labelled_scans import LabelledScans
from MaskWhatMattersLib.bridge.mass_examples import marked_in, same_name, structure_names
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.segment_ticks import SegmentTicks

FEWEST_CASES, MOST_CASES = 3, 10
"""Fewer leave none to measure the result; with more, a network of one's own is the better choice."""


class TuneCases(LabelledScans):
    """Connects the selectors, the table and the list of segments with the parameter node: `tuneCases`, `tuneLeftOut`.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the choice, with references to nodes.
        show_problem: Called with what was wrong with an entry, or with an empty text when there is nothing.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, show_problem: Callable[[str], None]) -> None:
        super().__init__(ui, parameters, show_problem, "tuneCases", self._measuring)
        self._segments = SegmentTicks(ui.segmentList, ui.segmentsLabel, parameters, "tuneLeftOut")

    @property
    def names(self) -> list[str]:
        """Names of all segments of the cases."""
        return structure_names(self._label_nodes())

    @property
    def wanted(self) -> list[str]:
        """Names of those that are ticked."""
        return self._segments.wanted(self.names)

    @property
    def segmentations(self) -> list[Any]:
        """Segmentation nodes of the cases, whose segments may change."""
        return [node for node in self._label_nodes() if node.IsA("vtkMRMLSegmentationNode")]

    @property
    def measuring(self) -> set[int]:
        """Indices of the cases that measure the result."""
        return self._measuring(self.labelled)

    def problems(self) -> list[str]:
        """Why these cases cannot be tuned on, one sentence each; that there are too few is not one yet."""
        return super().problems() + case_problems(slicer.mrmlScene, self.labelled, self.wanted)

    def lack(self) -> str:
        """What is still to be given; empty when it is there."""
        count = len(self.labelled)
        if count < FEWEST_CASES:
            return too_few(count)
        return "" if self.wanted else "No segment is ticked. Tick at least one."

    def show(self) -> None:
        """Show what the parameter node holds."""
        super().show()
        self._segments.show(self.names)

    def _measuring(self, cases: Sequence[Pair]) -> set[int]:
        return measuring_cases(slicer.mrmlScene, cases, self.wanted)

    def _label_nodes(self) -> list[Any]:
        found = [slicer.mrmlScene.GetNodeByID(pair.label) for pair in self.labelled if is_node(pair.label)]
        return [node for node in found if node is not None]

    def _chosen_segment(self) -> str:
        return ""  # the ticks choose

    def _show_segments(self) -> None:
        """The ticks do it, for all cases together."""


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
