"""A localizer for tests, found by its entry point as anybody's would be; what it does depends on the prompt."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from MaskWhatMattersLib.relevance.registry import LocalizerInfo
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap

INFO = LocalizerInfo("probe", "Probe", "A test.", "None", "probe_localizer:ProbeLocalizer")
RESEARCH = LocalizerInfo(
    "probe-research", "Probe, research", "A test.", "Research only", "probe_localizer:ProbeLocalizer", True
)


class ProbeLocalizer:
    """ "ball" is found; "gone" is absent; "slow" takes 20 s; "killed" kills the worker; "wrong" raises."""

    name = "probe"

    def __init__(self, model=None, device="auto") -> None:
        self.model = model

    def localize(self, volume, prompts, *, context, modality=None):
        return [self._one(volume, prompt, context, modality) for prompt in prompts]

    def _one(self, volume, prompt, context, modality):
        context.stage(f"Looking for {prompt}", total=400)
        if prompt == "killed":
            print("the worker is about to die", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if prompt == "wrong":
            raise RuntimeError("the network is upside down")
        if prompt == "slow":
            for _ in range(400):
                time.sleep(0.05)
                context.step()
        context.log(f"finished {prompt}")
        found = prompt != "gone"
        relevance = ball(volume.spatial_shape) if found else np.zeros(volume.spatial_shape, np.float32)
        message = f"modality {modality or volume.modality}"
        verdict = "found" if found else "absent"
        return RelevanceMap(
            volume.with_array(relevance[None]), prompt, verdict, 0.9 if found else 0.1, message, "probe", "probe 1"
        )


def ball(shape) -> np.ndarray:
    """1 in the middle, falling to 0 at the border."""
    grid = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    return np.clip(1 - np.sqrt(sum(axis**2 for axis in grid)), 0, 1).astype(np.float32)
