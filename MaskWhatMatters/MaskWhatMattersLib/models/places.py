"""Where models lie: bundled with the extension first, then the user's folder; the hub is asked last and by consent."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from MaskWhatMattersLib.errors import ConsentRequiredError, ModelFileError
from MaskWhatMattersLib.models.card import card_path, read_card

BUNDLED_FOLDER = Path(__file__).parent / "weights"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class ModelEntry:
    """One model in a list to choose from.

    Attributes:
        name: What `find_model` takes.
        place: "bundled", "user" (in the user's folder, downloads included) or "hub" (not downloaded yet).
        path: The file; None on the hub.
        size_bytes: Of the weights, or of the download.
        licence: Licence of the weights.
        research_only: Whether use needs an acknowledgement.
        description: One line, or what is wrong with the card.
    """

    name: str
    place: Literal["bundled", "user", "hub"]
    path: Path | None
    size_bytes: int
    licence: str
    research_only: bool
    description: str


def default_user_folder() -> Path:
    """The folder for models that a user adds or downloads; it may not exist yet."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "MaskWhatMatters" / "models"


def find_model(name_or_path: str | Path, *, user_folder: Path | None = None) -> Path:
    """The file of a model, looked for among the bundled ones, then in the user's folder.

    Args:
        name_or_path: A model name, or the path of a .safetensors file.
        user_folder: Instead of `default_user_folder()`.

    Raises:
        ModelFileError: Not found; the message says where it was looked for and what there is.
        ConsentRequiredError: Not here, but on the hub: says size and licence.
    """
    if isinstance(name_or_path, Path) or not _NAME.fullmatch(name_or_path) or name_or_path.endswith(".safetensors"):
        return _existing_file(Path(name_or_path))
    user_folder = user_folder or default_user_folder()
    for folder in (BUNDLED_FOLDER, user_folder):
        for path in (folder / f"{name_or_path}.safetensors", folder / name_or_path / "model.safetensors"):
            if path.is_file():
                return path
    from MaskWhatMattersLib.models.hub import hub_models

    on_hub = hub_models(user_folder).get(name_or_path)
    if on_hub is not None:
        raise ConsentRequiredError(
            f"The model {name_or_path} is not on this computer yet. It can be downloaded ({on_hub.summary}): "
            f'call download("{name_or_path}", consent=True), or put its files into {user_folder / name_or_path}.'
        )
    known = ", ".join(entry.name for entry in list_models(user_folder)) or "none"
    raise ModelFileError(
        f'There is no model "{name_or_path}"; looked in {BUNDLED_FOLDER} and {user_folder}. '
        f"Models that there are: {known}. Choose one of them, or put the files of the model into the user folder."
    )


def list_models(user_folder: Path | None = None) -> list[ModelEntry]:
    """Every model, in the order in which `find_model` looks; of two with one name, the one found first."""
    from MaskWhatMattersLib.models.hub import hub_models

    user_folder = user_folder or default_user_folder()
    entries: dict[str, ModelEntry] = {}
    places: tuple[tuple[Literal["bundled", "user"], Path], ...] = (("bundled", BUNDLED_FOLDER), ("user", user_folder))
    for place, folder in places:
        for path in sorted((*folder.glob("*.safetensors"), *folder.glob("[!.]*/model.safetensors"))):
            name = path.stem if path.parent == folder else path.parent.name
            entries.setdefault(name, _entry_of(name, place, path))
    for name, model in hub_models(user_folder).items():
        size, research = model.size_bytes, model.research_only
        entries.setdefault(name, ModelEntry(name, "hub", None, size, model.licence, research, model.description))
    return list(entries.values())


def remove_model(name: str, *, user_folder: Path | None = None) -> int:
    """Delete a model from the user's folder, an unfinished download included.

    Returns:
        Bytes that became free.

    Raises:
        ModelFileError: Not there, bundled, or not deletable.
    """
    user_folder = user_folder or default_user_folder()
    if not _NAME.fullmatch(name):
        raise ModelFileError(f"{name!r} is not the name of a model. Use a name from list_models().")
    weights = user_folder / f"{name}.safetensors"
    targets = [weights, card_path(weights), user_folder / name, user_folder / f".download-{name}"]
    present = [path for path in targets if path.exists()]
    if not present:
        raise ModelFileError(f"There is no model {name} in {user_folder}, so nothing was removed. Check the name.")
    freed = 0
    try:
        for path in present:
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            freed += sum(file.stat().st_size for file in files)
            path.unlink() if path.is_file() else shutil.rmtree(path)
    except OSError as error:
        raise ModelFileError(f"The model {name} cannot be removed ({error}). Close programs that use it.") from error
    return freed


def _existing_file(path: Path) -> Path:
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder. Give the .safetensors file inside of it.")
    if not path.is_file():
        raise ModelFileError(f"The model file {path} does not exist. Check the name, or use a bundled one.")
    return path


def _entry_of(name: str, place: Literal["bundled", "user"], path: Path) -> ModelEntry:
    size = path.stat().st_size
    try:
        card = read_card(path)
    except ModelFileError as error:
        return ModelEntry(name, place, path, size, "unknown", True, str(error))
    return ModelEntry(name, place, path, size, card.licence, card.research_only, card.description)
