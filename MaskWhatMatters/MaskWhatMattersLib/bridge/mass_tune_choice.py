"""The upper part of the tab "Tune on my cases": volumes with what is marked on them, and which segments are learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair, is_node
from MaskWhatMattersLib.bridge.labelled_scans import LabelledScans
from MaskWhatMattersLib.bridge.mass_examples import structure_names
from MaskWhatMattersLib.bridge.mass_results import present_segmentation
from MaskWhatMattersLib.bridge.mass_tune_cases import FEWEST_CASES, case_problems, measuring_cases, too_few
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.segment_ticks import SegmentTicks


class TuneChoice(LabelledScans):
    """Connects the selectors, the table and the list of segments with the parameter node: `tuneCases`, `tuneLeftOut`.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the choice, with references to nodes.
        show_problem: Called with what was wrong with an entry, or with an empty text when there is nothing.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, show_problem: Callable[[str], None]) -> None:
        super().__init__(ui, parameters, show_problem, "tuneCases", self._measuring)
        self._segments = SegmentTicks(ui.segmentList, ui.segmentsLabel, parameters, "tuneLeftOut")
        ui.pairVolumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._suggest_label())

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

    def _suggest_label(self) -> None:
        """A segmentation that was drawn on the chosen volume."""
        volume = self.ui.pairVolumeSelector.currentNode()
        drawn = present_segmentation(volume) if volume is not None else None
        if drawn is not None:
            self.ui.pairLabelSelector.setCurrentNode(drawn)

    def _chosen_segment(self) -> str:
        return ""  # the ticks choose

    def _show_segments(self) -> None:
        """The ticks do it, for all cases together."""
