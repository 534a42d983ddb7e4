"""What a finetuning will need, measured before it starts and before any image is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.tasks import make_task
from MaskWhatMattersLib.finetuning.train import TaskStep
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.engine import ResourceEstimate, estimate_resources, make_fabric, prepare_network
from MaskWhatMattersLib.volumes import Volume


def estimate(config: FinetuneConfig, classes: int, device: str = "auto") -> ResourceEstimate:
    """What a finetuning with these settings needs, measured with made-up images.

    Args:
        config: Settings.
        classes: How many, background included.
        device: Where it will run.

    Raises:
        InputError: No such device.
    """
    fabric = make_fabric(device, config.precision)
    task = make_task(config, made_up_cases(config, classes), fabric.device, SilentProgress())
    prepare_network(task.network, channels_last=config.channels_last)
    module = fabric.setup_module(TaskStep(task))
    module.train()
    batch = task.batch(0)
    found = estimate_resources(
        lambda: fabric.backward(module(batch).total),
        steps=config.steps,
        device=fabric.device,
        modules=(task.network,),
    )
    if config.minutes is not None:
        found = replace(found, steps=min(found.steps, found.steps_within(config.minutes)))
    return found


def made_up_cases(config: FinetuneConfig, classes: int) -> ImageCases:
    """Images of noise as large as a crop, with all labels in each; one per class where images have classes."""
    random = np.random.default_rng(0)
    spacing = config.preprocessing.spacing_mm or (1.0, 1.0, 1.0)
    shape = tuple(config.size) if config.preprocessing.spatial_dims == 3 else (1, *config.size)
    affine = np.diag((*spacing, 1.0))
    rows = np.arange(np.prod(shape)).reshape(shape) * classes // np.prod(shape)
    cases = []
    for number in range(classes if config.task == "classification" else 2):
        image = Volume(random.integers(0, 256, (1, *shape)).astype(np.float32), affine, name=f"noise{number}")
        label_map = Volume(rows[None].astype(np.uint8), affine, name=f"labels{number}")
        cases.append(ImageCase(image.name, image, image.name, "train", f"class{number}", label_map))
    return ImageCases(tuple(cases))
