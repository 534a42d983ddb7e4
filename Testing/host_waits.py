"""Finds operations that make the host wait for the device, on a computer without a GPU, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = {
    "_local_scalar_dense",  # .item(), float(tensor), if tensor:
    "nonzero",
    "masked_select",
    "unique_consecutive",
    "_unique2",
    "unique_dim",
    "equal",
    "bincount",
}


class HostWaits(TorchDispatchMode):
    """Collects, in `found`, the operations whose results have a size or a Python value that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        by_counts = str(func) == "aten.repeat_interleave.Tensor" and not (kwargs or {}).get("output_size")
        if name in _WAITS or by_mask or by_counts:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))
