"""Which processor a network runs on."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.errors import InputError


def torch_device(name: str) -> torch.device:
    """The device of that name; for "auto" the first NVIDIA GPU, else the processor.

    Raises:
        InputError: No such device on this computer.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        what = str(error).splitlines()[0]
        raise InputError(f'The device "{name}" cannot be used: {what}. Use "auto" or "cpu".') from error
