"""Put weights into a network: everything fits, or nothing is changed and the error lists all that does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from MaskWhatMattersLib.errors import ModelFileError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def load_into(module: Module, state_dict: Mapping[str, Tensor], *, source: object = "the model") -> None:
    """Copy weights into a network, strictly; types are converted, shapes are not.

    Args:
        module: The network; unchanged after an error.
        state_dict: Tensors by name, for example from `read_model`.
        source: File or model name for the message.

    Raises:
        ModelFileError: Lists every missing, unexpected and mis-shaped tensor, and every integer one given as floats.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in state_dict]
    unexpected = [name for name in state_dict if name not in wanted]
    both = [(name, wanted[name], state_dict[name]) for name in wanted if name in state_dict]
    shapes = [
        f"{name} (wanted {list(ours.shape)}, found {list(theirs.shape)})"
        for name, ours, theirs in both
        if ours.shape != theirs.shape
    ]
    types = [
        f"{name} (wanted {ours.dtype}, found {theirs.dtype})"
        for name, ours, theirs in both
        if ours.is_floating_point() != theirs.is_floating_point()
    ]
    problems = [
        f"{len(names)} {kind}: {', '.join(names)}"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", shapes),
            ("of another type", types),
        )
        if names
    ]
    if problems:
        raise ModelFileError(
            f"The weights of {source} do not fit the network {type(module).__name__}; tensors {'; '.join(problems)}. "
            "Use weights made for this network and configuration."
        )
    module.load_state_dict(dict(state_dict), strict=True)
