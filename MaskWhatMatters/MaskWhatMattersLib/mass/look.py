"""What the network says about a prepared scan: where to look, with which examples, and the windows' mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from MaskWhatMattersLib.mass.encode import MarkEncoder
from MaskWhatMattersLib.mass.passes import MassPasses, Predictor
from MaskWhatMattersLib.mass.retrieval import FROM_EXAMPLES, mean_tokens, retrieved_tokens
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.mass.skip_windows import is_worth_it, look_from_afar, to_fine, windows_to_look_at
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.mass.windows import blended, padded, windows_over
from MaskWhatMattersLib.progress import Progress

_CPU_OVERLAP = 0.25
_GPU_OVERLAP = 0.5


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network said about a scan.

    Attributes:
        probabilities: On the prepared grid, [K, D, H, W].
        windows: That cover the scan.
        looked_at: Windows that were looked at closely.
    """

    probabilities: Tensor
    windows: int
    looked_at: int

    def averaged_with(self, mirrored: Seen) -> Seen:
        """The mean of this and of what was said about the mirror image, left and right exchanged."""
        mean = (self.probabilities + mirrored.probabilities.flip(-1)) / 2
        return Seen(mean, self.windows + mirrored.windows, self.looked_at + mirrored.looked_at)


class Look:
    """Looks at one prepared scan after the other for one task.

    Args:
        passes: Of the network.
        encoder: Of what a first look finds, for the choice of examples.
        task: Labels, which example has which, and the spacing.
        settings: Overlap, coarse look, choice of examples, threshold.
        progress: Gets one step per window.
    """

    def __init__(
        self, passes: MassPasses, encoder: MarkEncoder, task: Task, settings: SegmentSettings, progress: Progress
    ) -> None:
        self._passes, self._encoder, self._task = passes, encoder, task
        self._settings, self._progress = settings, progress
        default = _CPU_OVERLAP if passes.device.type == "cpu" else _GPU_OVERLAP
        self._overlap = default if settings.overlap is None else settings.overlap

    def __call__(self, image: Tensor, tokens: Sequence[Tensor]) -> Seen:
        """Probabilities of all labels.

        Args:
            image: Prepared, [D, H, W].
            tokens: Of the examples, [R, K, T, C] per scale.
        """
        classes, window = len(self._task.labels), self._passes.window
        whole, inside = padded(image, window)
        windows = windows_over(whole.shape, window, self._overlap)
        predict = self._passes.predictor(mean_tokens(tokens, self._task.present))

        def closely(predict: Predictor, chosen: Sequence[tuple[slice, slice, slice]], stage: str) -> Tensor:
            self._progress.stage(stage, len(chosen))
            found = blended(predict, whole, chosen, classes, self._progress, self._passes.batch)
            return found[(slice(None), *inside)]

        coarse = None
        if self._settings.skip_empty and is_worth_it(image.shape, window, self._overlap):
            coarse = look_from_afar(predict, image, classes, window, self._overlap, self._progress)
        if self._chooses_examples():
            first = (
                closely(predict, windows, "Choosing the most alike examples")
                if coarse is None
                else to_fine(coarse, image.shape)
            )
            predict = self._with_the_most_alike(predict, image, first, tokens)
        kept = windows if coarse is None else windows_to_look_at(windows, coarse, inside, self._task.spacing_mm)
        return Seen(closely(predict, kept, "Segmenting"), len(windows), len(kept))

    def _chooses_examples(self) -> bool:
        examples = len(self._task.present)
        wanted = self._settings.retrieval
        return examples > 1 and (examples >= FROM_EXAMPLES if wanted is None else wanted)

    def _with_the_most_alike(
        self, predict: Predictor, image: Tensor, first: Tensor, tokens: Sequence[Tensor]
    ) -> Predictor:
        """A predictor that knows the most alike examples alone; the given one where nothing was found."""
        marks = (first >= self._settings.threshold).cpu().numpy().astype(np.uint8)
        if not marks.any():
            return predict
        query = self._encoder.encode(image.cpu().numpy(), marks, self._progress)
        return self._passes.predictor(retrieved_tokens(tokens, self._task.present, query.tokens, query.present))
