"""Which model is meant where nobody names one, and what to do where there is none."""

from __future__ import annotations

from pathlib import Path

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models.places import default_user_folder, find_model

DEFAULT_MODEL = "mass-tiny"
"""What is used when nobody names a model."""


def find_mass_model(model: str | Path | None = None) -> Path:
    """The file of a model; the default one when None.

    Raises:
        ModelFileError: Not found; without a name, the message says how to come by a model.
    """
    if model is not None and model != DEFAULT_MODEL:
        return find_model(model)
    try:
        return find_model(DEFAULT_MODEL)
    except ModelFileError as error:
        raise ModelFileError(
            f'The model "{DEFAULT_MODEL}" for segmenting by example is not on this computer, and this version comes '
            "without one. Learn one from scans of yours, no labels needed (whatmatters mass pretrain --images SCANS "
            f"--output {default_user_folder() / DEFAULT_MODEL}), or convert the released weights (python -m "
            f"MaskWhatMattersLib.mass.official {default_user_folder()}) and name that model."
        ) from error
