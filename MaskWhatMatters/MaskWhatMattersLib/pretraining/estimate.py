"""What a pretraining will need, measured before it starts and before any image is read."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from MaskWhatMattersLib.datasets.device_scans import DeviceScans
from MaskWhatMattersLib.datasets.prepare_images import IN_REGION, VALID
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.images import PretrainImages
from MaskWhatMattersLib.pretraining.methods import make_method
from MaskWhatMattersLib.pretraining.optimization import steps_of
from MaskWhatMattersLib.training.engine import ResourceEstimate, estimate_resources, make_fabric, prepare_network


def estimate(config: PretrainConfig, device: str = "auto", images: int = 0) -> ResourceEstimate:
    """What a pretraining with these settings needs, measured with made-up images.

    Args:
        config: Settings.
        device: Where it will run.
        images: How many there are, for `config.epochs`; 0 when that is not known.

    Raises:
        InputError: No such device.
    """
    fabric = make_fabric(device, config.precision)
    method = prepare_network(make_method(config).to(fabric.device), channels_last=config.channels_last)
    scans = DeviceScans(*_made_up(config), device=fabric.device)
    module = fabric.setup_module(method)
    module.train()
    batch = PretrainImages(config, scans).batch(0)[0]
    found = estimate_resources(
        lambda: fabric.backward(module(batch).total),
        steps=steps_of(config, images),
        device=fabric.device,
        modules=(method,),
    )
    return (
        found if config.minutes is None else replace(found, steps=min(found.steps, found.steps_within(config.minutes)))
    )


def _made_up(config: PretrainConfig) -> tuple[list[Tensor], list[Tensor]]:
    """Two images of noise, relevant in one half."""
    generator = torch.Generator().manual_seed(0)
    scans = [torch.randint(256, config.size, generator=generator).to(torch.uint8) for _ in range(2)]
    marks = torch.full(config.size, VALID, dtype=torch.uint8)
    marks[: config.size[0] // 2] |= IN_REGION
    return scans, [marks, marks]
