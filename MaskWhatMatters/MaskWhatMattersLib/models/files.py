"""Model files: fp16 safetensors with a JSON card beside them; nothing else is ever loaded."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import MaskWhatMattersLib
from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models.card import ModelCard, card_path, read_card
from MaskWhatMattersLib.models.places import find_model

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"


def save_model(state_dict: Mapping[str, Tensor], card: ModelCard, path: str | Path) -> ModelCard:
    """Write weights and card so that both are complete or not there.

    Args:
        state_dict: Tensors by name. Floating ones are stored as float16, others as they are.
        card: `sha256` and `library_version` are filled in.
        path: Ends in .safetensors; the card gets the same name with .json.

    Returns:
        The card as written.

    Raises:
        ModelFileError: Another ending, no tensors, a value that is not finite or too large for float16, or a folder
            that cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != SUFFIX:
        raise ModelFileError(f"A model file ends in {SUFFIX}; found {path.name}. Rename it.")
    tensors = _as_stored(state_dict)
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as aside:
            weights = Path(aside) / path.name
            # One key: safetensors writes several in random order, and the same model shall be the same file.
            save_file(tensors, weights, metadata={"format": "pt"})
            written = card.model_copy(
                update={"sha256": sha256_of(weights), "library_version": MaskWhatMattersLib.__version__}
            )
            beside = card_path(weights)
            beside.write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
            weights.chmod(beside.stat().st_mode & 0o777)  # safetensors makes a file that nobody else may read
            os.replace(weights, path)
            os.replace(beside, card_path(path))
    except (OSError, SafetensorError) as error:
        raise ModelFileError(
            f"The model {path.name} could not be written to {path.parent} ({error}). "
            "Free some space or choose a folder that you may write to."
        ) from error
    return written


def read_model(
    name_or_path: str | Path, *, architecture: str | None = None, user_folder: Path | None = None
) -> tuple[dict[str, Tensor], ModelCard]:
    """Weights (as stored, on the CPU) and card of a model.

    Args:
        name_or_path: A name that `find_model` knows, or a .safetensors file.
        architecture: The network that the caller is about to build; another one is refused.
        user_folder: See `find_model`.

    Raises:
        ModelFileError: Not found, not safetensors, damaged, changed after it was written, no valid card, or made for
            another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = find_model(name_or_path, user_folder=user_folder)
    _refuse_pickle(path)
    card = read_card(path)
    if architecture is not None and card.architecture != architecture:
        raise ModelFileError(
            f"The model {path} is made for another network: {architecture} is wanted, found {card.architecture}. "
            "Choose a model of the right kind."
        )
    try:
        tensors = dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"The model {path} is damaged or ends too early; found {path.stat().st_size} bytes ({error}). "
            "Copy or download it again."
        ) from error
    found = sha256_of(path)
    if card.sha256 != found:
        raise ModelFileError(
            f"The model {path} is not the file that its card describes: the checksum is {found}, "
            f"the card says {card.sha256}. Copy or download both files again."
        )
    return tensors, card


def sha256_of(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_stored(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    import torch

    if not state_dict:
        raise ModelFileError("A model needs at least one tensor; found none. Give the state_dict of the network.")
    stored: dict[str, Tensor] = {}
    spoiled: list[str] = []
    for name, tensor in state_dict.items():
        # A copy of its own: safetensors refuses tensors that share memory (tied weights, views).
        value = tensor.detach().cpu().clone().contiguous()
        if value.is_floating_point():
            value = value.to(torch.float16)
            if not torch.isfinite(value).all():
                spoiled.append(name)
        stored[name] = value
    if spoiled:
        raise ModelFileError(
            f"Weights must be finite and below 65504 (float16); these are not: {', '.join(spoiled)}. "
            "The training has diverged: use an earlier checkpoint."
        )
    return stored


def _refuse_pickle(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    # A zip archive (torch.save) or a bare pickle; a safetensors file begins with the length of its header.
    if start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        try:
            from safetensors import SafetensorError, safe_open

            with safe_open(path, framework="numpy"):
                return
        except SafetensorError as error:
            raise ModelFileError(
                f"The model {path} is a Python pickle (a .pth or .pt file), which can run any code when it is opened. "
                "Only .safetensors files are used: convert it with read_third_party and save_model, or ask its author."
            ) from error
