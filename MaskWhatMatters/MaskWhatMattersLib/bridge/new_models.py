"""Where the model of a training goes: a folder of its own among the user's models, under a name that is free."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from MaskWhatMattersLib.errors import InputError

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}(-\d+)?(?=-|$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def new_model_folder(name: str, base: str) -> Path:
    """The folder for a new model; it is not made yet.

    Args:
        name: As typed; empty takes the base with today's date, made unique.
        base: What a name begins with that nobody typed; the date of a start model is left out.

    Raises:
        InputError: Not a name, or one that is taken.
    """
    from MaskWhatMattersLib.models.places import default_user_folder, list_models

    folder, taken = default_user_folder(), {entry.name.lower() for entry in list_models()}
    typed = name.strip()
    if typed:
        if not _NAME.fullmatch(typed):
            raise InputError(
                f'"{typed}" cannot be the name of a model. Use letters, digits, dots and dashes, with a letter or a '
                "digit in front."
            )
        if typed.lower() in taken or (folder / typed).exists():
            raise InputError(f"There is a model {typed} already. Choose another name.")
        return folder / typed
    base = f"{_DATE.sub('', base)}-{datetime.date.today().isoformat()}"
    wanted, number = base, 1
    while wanted.lower() in taken or (folder / wanted).exists():
        number += 1
        wanted = f"{base}-{number}"
    return folder / wanted
