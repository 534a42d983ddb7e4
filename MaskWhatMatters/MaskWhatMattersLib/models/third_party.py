"""Weights of other projects (.pth, .pt): tensors only, never code; converted once with `save_model`."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.errors import ModelFileError

if TYPE_CHECKING:
    from torch import Tensor

_USUAL_KEYS = ("state_dict", "model_state_dict", "model", "network_weights", "net", "module")


def read_third_party(path: str | Path, *, first: Sequence[str] = ()) -> dict[str, Tensor]:
    """The tensors of a PyTorch file, by name, on the CPU.

    Only `torch.load(weights_only=True)` is used: a file that would run code is refused. Where a checkpoint keeps the
    weights under a usual key ("state_dict", "model", ...), that part is returned.

    Args:
        path: The file.
        first: Keys to look under before the usual ones, for example those of averaged weights.

    Raises:
        ModelFileError: Missing, damaged, holding anything but data, or without weights.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"The file {path} does not exist. Check the name.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{path} was not opened: it is damaged, or holds Python objects that could run code besides tensors "
            f"({_first_sentence(error)}). Ask its author for .safetensors, or for a file with the state_dict alone."
        ) from error
    except Exception as error:  # torch raises RuntimeError, EOFError, zipfile and storage errors for damaged files
        raise ModelFileError(
            f"{path} is damaged, ends too early or is no PyTorch weights file ({_first_sentence(error)}). "
            "Download it again; a TorchScript file cannot be used."
        ) from error
    return _weights_in(content, path, first)


def _weights_in(content: Any, path: Path, first: Sequence[str]) -> dict[str, Tensor]:
    import torch

    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[key] for key in (*first, *_USUAL_KEYS) if key in content]
    for candidate in candidates:
        if (
            isinstance(candidate, Mapping)
            and candidate
            and all(isinstance(v, torch.Tensor) for v in candidate.values())
        ):
            return {str(name): tensor for name, tensor in candidate.items()}
    found = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
    raise ModelFileError(
        f"{path} holds no weights by name; found {found or 'nothing'}. "
        "Take the state_dict out of it with the project's own code and save that."
    )


def _first_sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().split("\n")[0][:200]
