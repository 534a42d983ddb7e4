"""From the model file of a left atrium network to the network, with everything that does not fit listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel
from torch import nn

from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing
from MaskWhatMattersLib.models import ModelCard, networks

C = TypeVar("C", bound=BaseModel)
N = TypeVar("N", bound=nn.Module)


def read_network(
    model: str | Path, architecture: str, config_type: type[C], network_type: Callable[[C], N]
) -> tuple[N, ScanPreprocessing, ModelCard]:
    """As `models.networks.read_network`, for scans.

    Raises:
        ModelFileError: Not found, damaged, made for another network, or a card or weights that do not fit; lists what.
    """
    return networks.read_network(model, architecture, config_type, ScanPreprocessing, network_type)
