"""Models on a server: asked for by consent, resumed, checked against a checksum, put in place in one step.

The list of what can be downloaded is the file hub.json in the user's folder, so that a hospital can offer its own
models from its own server; checksums make the transport irrelevant.
"""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from MaskWhatMattersLib.errors import ConsentRequiredError, ModelFileError
from MaskWhatMattersLib.models.card import Sha256
from MaskWhatMattersLib.models.files import sha256_of
from MaskWhatMattersLib.models.places import default_user_folder
from MaskWhatMattersLib.progress import Progress, SilentProgress

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_ATTEMPTS = 3


class HubFile(BaseModel):
    """One file of a model on a server."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(description="Name on disk, for example model.safetensors or model.json.")
    url: str = Field(pattern=r"^https?://")
    size_bytes: int = Field(gt=0)
    sha256: Sha256 | None = Field(description="None: nobody told us, so that the file is not verified.")

    @model_validator(mode="after")
    def _plain_file_name(self) -> Self:
        if self.name in ("", ".", "..") or self.name != PurePosixPath(self.name).name or "\\" in self.name:
            raise ValueError(f"{self.name!r} is not a plain file name")
        return self


class HubModel(BaseModel):
    """A model that can be downloaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    licence: str = Field(min_length=1)
    research_only: bool = False
    files: tuple[HubFile, ...] = Field(min_length=1)

    @property
    def size_bytes(self) -> int:
        """Size of the download."""
        return sum(file.size_bytes for file in self.files)

    @property
    def summary(self) -> str:
        """Size, licence and server, for the question before the download."""
        servers = ", ".join(sorted({urlsplit(file.url).hostname or "?" for file in self.files}))
        use = ", research only" if self.research_only else ""
        unverified = "" if all(file.sha256 for file in self.files) else ", checksum not known"
        return f"{self.size_bytes / 1e6:.1f} MB from {servers}, licence {self.licence}{use}{unverified}"


def hub_models(user_folder: Path | None = None) -> dict[str, HubModel]:
    """Models that can be downloaded, by name; empty when nobody has put a hub.json into the user's folder.

    Raises:
        ModelFileError: hub.json is not valid, or gives no checksum.
    """
    path = (user_folder or default_user_folder()) / "hub.json"
    if not path.is_file():
        return {}
    try:
        models = TypeAdapter(list[HubModel]).validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise ModelFileError(f"The list of downloads {path} is not valid: {error}. Correct or remove it.") from error
    if unverified := [model.name for model in models if not all(file.sha256 for file in model.files)]:
        raise ModelFileError(
            f"The list of downloads {path} gives no sha256 for files of {', '.join(unverified)}. Add it or remove them."
        )
    return {model.name: model for model in models}


def download(
    model: str | HubModel,
    *,
    consent: bool | Callable[[HubModel], bool] = False,
    report: Progress | None = None,
    user_folder: Path | None = None,
) -> Path:
    """Fetch a model into the user's folder; an interrupted download goes on where it stopped.

    Args:
        model: A name in `hub_models`, or a model itself.
        consent: True, or a question that shows `HubModel.summary` and returns the answer.
        report: Gets one step per MB; may stop the download.
        user_folder: Instead of `default_user_folder()`.

    Returns:
        The folder of the model, with all its files.

    Raises:
        ConsentRequiredError: The answer was no.
        ModelFileError: Unknown name, no connection, full disk, or a file that is not what it should be.
    """
    user_folder = user_folder or default_user_folder()
    wanted = _wanted(model, user_folder)
    target = user_folder / wanted.name
    if target.is_dir():
        return target
    if not (consent(wanted) if callable(consent) else consent):
        raise ConsentRequiredError(
            f"The model {wanted.name} is not downloaded without your consent ({wanted.summary}). "
            f"Agree to the download, or put its files into {target}."
        )
    report = report or SilentProgress()
    aside = user_folder / f".download-{wanted.name}"
    try:
        aside.mkdir(parents=True, exist_ok=True)
        _check_space(wanted, aside)
        report.stage(f"Downloading {wanted.name}", max(1, wanted.size_bytes // _CHUNK_BYTES))
        for file in wanted.files:
            _fetch(file, aside / file.name, report)
        os.replace(aside, target)
    except OSError as error:
        raise ModelFileError(
            f"The model {wanted.name} could not be stored in {user_folder} ({error}). "
            "Free some space or choose another folder; the download goes on where it stopped."
        ) from error
    return target


def _wanted(model: str | HubModel, user_folder: Path) -> HubModel:
    if isinstance(model, HubModel):
        return model
    models = hub_models(user_folder)
    if model not in models:
        raise ModelFileError(
            f'No model "{model}" can be downloaded; {user_folder / "hub.json"} offers: {", ".join(models) or "none"}. '
            "Choose one of them, or put the model's files into the user folder."
        )
    return models[model]


def _check_space(model: HubModel, aside: Path) -> None:
    here = sum(file.stat().st_size for file in aside.iterdir())
    needed, free = model.size_bytes - here, shutil.disk_usage(aside).free
    if needed > free:
        raise ModelFileError(
            f"The model {model.name} needs {needed / 1e6:.0f} MB; found {free / 1e6:.0f} MB free in {aside.parent}. "
            "Free some space or choose another folder."
        )


def _fetch(file: HubFile, path: Path, report: Progress) -> None:
    """Bring one file to its full length, over broken connections, and check it."""
    reason = "the server sent too little"
    for _ in range(_ATTEMPTS):
        if path.exists() and path.stat().st_size >= file.size_bytes:
            break
        try:
            _append(file, path, report)
        except urllib.error.HTTPError as error:
            raise ModelFileError(
                f"The server refused {file.url} ({error.code} {error.reason}). "
                "Ask the person who keeps hub.json for a new address, or copy the file by hand."
            ) from error
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
    here = path.stat().st_size if path.exists() else 0
    if here < file.size_bytes:
        raise ModelFileError(
            f"The download of {file.name} was interrupted after {here} of {file.size_bytes} bytes ({reason}). "
            "Check the network, proxy and certificates, then start it again: it goes on where it stopped."
        )
    found = sha256_of(path)
    if file.sha256 is not None and found != file.sha256:
        path.unlink()
        raise ModelFileError(
            f"The downloaded {file.name} is not the expected file: the checksum is {found}, expected {file.sha256}. "
            "It was deleted. Try again; if it happens twice, the file on the server has changed."
        )


def _append(file: HubFile, path: Path, report: Progress) -> None:
    """Request what is still missing and write it behind what is there."""
    here = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={here}-"} if here else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        # A server that does not know ranges sends everything again, with 200 instead of 206.
        resumed = response.status == 206
        with path.open("ab" if resumed else "wb") as out:
            left = file.size_bytes - (here if resumed else 0)
            while left > 0 and (chunk := response.read(min(_CHUNK_BYTES, left))):
                out.write(chunk)
                left -= len(chunk)
                report.step()
