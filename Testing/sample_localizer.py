"""A localizer for tests: finds bright voxels, and gives every verdict on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from MaskWhatMattersLib.relevance import LocalizerInfo, RelevanceMap

if TYPE_CHECKING:
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.volumes import Volume

INFO = LocalizerInfo(
    name="sample",
    title="Sample",
    description="Finds bright voxels.",
    licence="ours",
    factory="sample_localizer:SampleLocalizer",
)


class SampleLocalizer:
    """The prompt decides: "absent", "unknown" and "untrained" are verdicts; "crash" is a bug; all else is found.

    "interrupt" presses Ctrl+C at the volume that is called "first".
    """

    name = "sample"

    def __init__(self, model: str | None = None, device: str = "auto") -> None:
        self.device = device

    def localize(
        self, volume: Volume, prompts: Sequence[str], *, context: Progress, modality: str | None = None
    ) -> list[RelevanceMap]:
        """Half the relevance for bright voxels, the whole for very bright ones."""
        context.stage("Looking", total=len(prompts))
        answers = []
        for prompt in prompts:
            context.log(f"looking for {prompt}")
            if prompt == "interrupt" and volume.name == "first":
                raise KeyboardInterrupt
            if prompt == "crash":
                raise RuntimeError("the sample localizer has a bug")
            verdict = prompt if prompt in ("absent", "unknown", "untrained") else "found"
            bright = (volume.array > 50) * 0.4 + (volume.array > 150) * 0.5
            relevance = bright if verdict == "found" else np.zeros(volume.array.shape)
            answers.append(
                RelevanceMap(
                    volume=volume.with_array(relevance.astype(np.float32)),
                    prompt=prompt,
                    verdict=verdict,
                    score=0.9 if verdict == "found" else 0.1,
                    message="",
                    localizer=self.name,
                    model_version="sample 1",
                )
            )
            context.step()
        return answers
