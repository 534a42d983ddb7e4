"""Jobs without a network, for tests of the panel; what they do depends on the name of the model."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from MaskWhatMattersLib.jobs.mass_segment_job import MassEncodeSpec, MassSegmentSpec
from MaskWhatMattersLib.mass.examples import shared_labels
from MaskWhatMattersLib.mass.result import InContextSegmentation, LabelResult
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.volumes import read_volume


class ProbeEncodeSpec(MassEncodeSpec):
    """The settings of the real job, for the function below."""

    function: ClassVar[str] = "probe_mass_job:encode"


class ProbeSegmentSpec(MassSegmentSpec):
    """The settings of the real job, for the function below."""

    function: ClassVar[str] = "probe_mass_job:segment"


def encode(spec, context, *examples):
    """A task with the examples' labels; "killed" kills the worker, "wrong" raises."""
    name = Path(spec.model or "mass-tiny").stem
    context.stage("Learning the example")
    if name == "killed":
        print("the worker is about to die", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "wrong":
        raise RuntimeError("the network is upside down")
    labels = shared_labels(examples).labels
    return Task(
        labels=labels,
        tokens=tuple(np.zeros((len(examples), len(labels), 4, 8), np.float32) for _ in range(3)),
        present=np.ones((len(examples), len(labels)), bool),
        spacing_mm=2.0,
        modality=None,
        model=f"{name} 0.0.1",
        model_sha256="0" * 64,
        notes=("The example is cropped.",) if name == "notes" else (),
    )


def segment(spec, context, volume, task):
    """Bright voxels are the first label, those of middle brightness the second; "slow" takes 20 s."""
    volume = read_volume(volume, replace_nan=spec.replace_nan) if isinstance(volume, Path) else volume
    name = task.model.split()[0]
    context.stage("Segmenting", total=400)
    if name == "slow":
        for _ in range(400):
            time.sleep(0.05)
            context.step()
    context.log(f"segmented {volume.name or 'scan'}")
    values = np.zeros(volume.array.shape, np.uint8)
    for label, (low, high) in zip(task.labels, ((450, 9999), (300, 450)), strict=False):
        values[(volume.array > low) & (volume.array <= high)] = label.value
    found = []
    for label in task.labels:
        voxels = int((values == label.value).sum())
        quality = min(1.0, voxels / 5000)  # what is small is worse
        notes = () if voxels else (f"{label.name} was not found.",)
        found.append(LabelResult(label, voxels * volume.voxel_volume_ml, quality, 0.9, notes))
    return InContextSegmentation(
        label_map=volume.with_array(values),
        probabilities=None,
        labels=tuple(found),
        quality_method="reverse",
        notes=(),
        windows=1,
        windows_looked_at=1,
        seconds=0.1,
        model=task.model,
        research_only=False,
    )
