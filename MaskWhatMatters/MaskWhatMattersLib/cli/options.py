"""Settings of `whatmatters relevance`: from a TOML file, then from the command line, validated together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from MaskWhatMattersLib.config_files import problems_of, read_toml
from MaskWhatMattersLib.errors import InputError


class RelevanceOptions(BaseModel):
    """What to look for, where, and how; the keys of a `--config` file are these fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: tuple[Path, ...] = Field(min_length=1, description="Image files, DICOM folders, or folders of them.")
    prompts: tuple[str, ...] = Field(min_length=1, description="What to look for, for example 'left lung'.")
    output: Path = Field(description="Folder for the results; made when missing.")
    localizer: str = Field("builtin", description="Who looks.")
    threshold: float | None = Field(None, gt=0, le=1, description="Relevance from which a voxel is in the mask.")
    modality: str | None = Field(None, description="CT, MR or XR, where the files do not say it.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    model: str | None = Field(None, description="Model file, folder or name instead of the localizer's own.")
    allow_download: bool = Field(False, description="Consent to fetch the model from its hub when it is not here.")
    roi: Path | None = Field(None, description="Label map on the same grid, for the localizer roi.")
    replace_nan: float | None = Field(None, description="Value for voxels that are no number.")
    scheduler: str | None = Field(None, description="Address of a Dask scheduler that does the work.")
    tls_ca: Path | None = Field(None, description="Certificate of the authority that signed the scheduler's.")
    tls_cert: Path | None = Field(None, description="This computer's certificate.")
    tls_key: Path | None = Field(None, description="Key of this computer's certificate.")
    send_pixels: bool = Field(False, description="Consent that pixel data leave this computer for the scheduler.")

    @field_validator("inputs", mode="before")
    @classmethod
    def _one_input_is_a_list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    @field_validator("prompts", mode="before")
    @classmethod
    def _prompts_without_repeats(cls, value: Any) -> Any:
        prompts = (value,) if isinstance(value, str) else value
        if isinstance(prompts, list | tuple) and all(isinstance(prompt, str) for prompt in prompts):
            return tuple(dict.fromkeys(prompt.strip() for prompt in prompts))
        return prompts

    @field_validator("modality", mode="before")
    @classmethod
    def _modality_in_any_case(cls, value: Any) -> Any:
        from MaskWhatMattersLib.volumes import MODALITIES

        if isinstance(value, str):
            if value.upper() not in MODALITIES:
                raise ValueError(f"use one of {', '.join(MODALITIES)}")
            return value.upper()
        return value

    @model_validator(mode="after")
    def _scheduler_options_need_a_scheduler(self) -> RelevanceOptions:
        given = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(self, name) is not None]
        if self.scheduler is None and given:
            raise ValueError(f"{', '.join(map(_flag, given))} without {_flag('scheduler')}: give its address too")
        return self


def _flag(field: str) -> str:
    """How a field is called on the command line."""
    return {"inputs": "INPUT", "prompts": "--prompt"}.get(field, "--" + field.replace("_", "-"))


def read_options(config: Path | None, given: dict[str, Any]) -> RelevanceOptions:
    """Settings of the file, each replaced by what was given on the command line.

    Paths in the file are taken relative to the file's folder.

    Raises:
        InputError: The file cannot be read, has unknown keys, or values are missing or wrong; all problems at once.
    """
    values = {**(_from_file(config) if config is not None else {}), **given}
    try:
        return RelevanceOptions(**values)
    except ValidationError as error:
        problems = problems_of(error, RelevanceOptions, lambda place: _flag(place[0]))
        raise InputError("; ".join(problems) + ".") from error


def _from_file(config: Path) -> dict[str, Any]:
    values = read_toml(config)
    for key in ("output", "roi", "tls_ca", "tls_cert", "tls_key"):
        if isinstance(values.get(key), str):
            values[key] = config.parent / values[key]
    if isinstance(values.get("inputs"), str):
        values["inputs"] = [values["inputs"]]
    if isinstance(values.get("inputs"), list):
        values["inputs"] = [config.parent / value if isinstance(value, str) else value for value in values["inputs"]]
    return values
