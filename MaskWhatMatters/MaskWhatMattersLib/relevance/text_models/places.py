"""Where a model folder is: on this computer first; from the hub only after the user has seen size and licence."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, ModelFileError
from MaskWhatMattersLib.progress import Progress

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]  # never a pickle


@dataclass(frozen=True)
class HubOffer:
    """What would be downloaded, for the question before it."""

    name: str
    size_bytes: int
    licence: str

    @property
    def summary(self) -> str:
        """Size, licence and server in one line."""
        return f"{self.size_bytes / 1e6:.0f} MB from huggingface.co, licence {self.licence}"


Consent = bool | Callable[[HubOffer], bool]


def locate(name: str, consent: Consent, progress: Progress) -> Path:
    """The folder of a model.

    Args:
        name: A folder, the name of one in the user's model folder, or a hub id such as "owner/model".
        consent: False: never ask the hub. True, or a question about an offer that returns the answer.
        progress: Told of a download.

    Raises:
        InputError: Neither a folder nor a hub id.
        ConsentRequiredError: Not on this computer, and no consent to a download.
        ModelFileError: The hub cannot be reached or refuses.
    """
    from MaskWhatMattersLib.models import default_user_folder

    for folder in (Path(name).expanduser(), default_user_folder() / name):
        if folder.is_dir():
            return folder
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or "\\" in name or os.path.isabs(name):
        raise InputError(
            f'There is no model folder "{name}". Give a folder with config.json and model.safetensors, or a hub id '
            'such as "CIDAS/clipseg-rd64-refined".'
        )
    cached = _in_cache(name)
    return cached if cached is not None else _download(name, consent, progress)


def _in_cache(name: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:  # not there, or only in part: the same to us
        return None


def _download(name: str, consent: Consent, progress: Progress) -> Path:
    if consent is False:
        raise ConsentRequiredError(
            f'The model "{name}" is not on this computer and is not downloaded without your consent. Its size and '
            f"licence stand on https://huggingface.co/{name}. Download it yourself and give its folder, or agree: "
            "--allow-download on the command line, consent=True in Python."
        )
    from huggingface_hub import snapshot_download

    progress.stage(f"Asking the hub about {name}")
    offer = _offer(name)
    if not (consent(offer) if callable(consent) else consent):
        raise ConsentRequiredError(f'The model "{name}" was not downloaded ({offer.summary}): you did not agree.')
    progress.log(f"Downloading {name}: {offer.summary}")
    progress.stage(f"Downloading {name} ({offer.summary})")
    try:
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except Exception as error:
        raise _unreachable(name, error) from error


def _offer(name: str) -> HubOffer:
    """Ask the hub for size and licence; nothing but the name is sent."""
    from fnmatch import fnmatch

    from huggingface_hub import model_info

    try:
        info = model_info(name, files_metadata=True, timeout=15)
    except Exception as error:
        raise _unreachable(name, error) from error
    files = [file for file in info.siblings or [] if any(fnmatch(file.rfilename, kind) for kind in _FILES)]
    licence = getattr(info.card_data, "license", None) or "not stated"
    return HubOffer(name, sum(file.size or 0 for file in files), str(licence))


def _unreachable(name: str, error: Exception) -> ModelFileError:
    what = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ModelFileError(
        f'The model "{name}" could not be had from the hub ({type(error).__name__}: {what}). Check the network and the '
        "name; a gated model needs your login (`hf auth login`). Or give a folder that holds it."
    )
