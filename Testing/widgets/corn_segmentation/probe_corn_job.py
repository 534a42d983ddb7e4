"""A job without a network, for tests of the panel; what it does depends on the name of the model."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from MaskWhatMattersLib.corn.result import AtriumSegmentation
from MaskWhatMattersLib.jobs.corn_segment_job import CornSegmentSpec


class ProbeSpec(CornSegmentSpec):
    """The settings of the real job, for the function below."""

    function: ClassVar[str] = "probe_corn_job:run"


def run(spec, context, volume):
    """Bright voxels; "slow-atrium" takes 20 s, "killed" kills the worker, "wrong" raises."""
    name = Path(spec.model or "left-atrium").stem
    context.stage("Segmenting", total=400)
    if name == "killed":
        print("the worker is about to die", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "wrong":
        raise RuntimeError("the network is upside down")
    if name == "slow-atrium":
        for _ in range(400):
            time.sleep(0.05)
            context.step()
    context.log(f"segmented {volume.name or 'scan'}")
    mask = volume.array > 450
    found = bool(mask.any())
    return AtriumSegmentation(
        label_map=volume.with_array(mask.astype(np.uint8)),
        disagreement=volume.with_array(np.where(mask, 0.2, 0.0).astype(np.float32)),
        probability=None,
        volume_ml=float(mask.sum()) * abs(np.linalg.det(volume.affine[:3, :3])) / 1000,
        agreement=0.93 if found else float("nan"),
        boundary_entropy=0.3 if found else float("nan"),
        review=not found,
        review_reasons=() if found else ("no left atrium found",),
        seconds=0.1,
        model=f"{name} {'1.2.3' if name == 'our-site' else '0.0.1'}",
        field_of_view="crop",
        research_only=True,
    )
