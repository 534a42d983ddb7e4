"""The card that lies beside every model file: what it is, what it was trained on, what it may be used for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from MaskWhatMattersLib.errors import ModelFileError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Code(_Part):
    """One term of a terminology, as DICOM and Slicer write it."""

    scheme: str = Field(description="Coding scheme, for example SCT.")
    value: str = Field(description="Code value, for example 39607008.")
    meaning: str = Field(description="In words, for example Lung.")


class Label(_Part):
    """One thing that the model marks."""

    value: int = Field(ge=0, description="Integer in a label map, or channel of the output.")
    name: str = Field(min_length=1)
    category: Code | None = None
    type: Code | None = None
    type_modifier: Code | None = Field(None, description="Side, for example Left.")


class TrainingData(_Part):
    """One set of images that the weights learned from."""

    name: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    research_only: bool = Field(False, description="Whether the licence excludes commercial or clinical use.")
    url: str = ""
    cases: int | None = Field(None, ge=1, description="Images used for training.")


class Metric(_Part):
    """One measured figure; without its protocol it means nothing."""

    name: str = Field(min_length=1, description="For example: Dice, liver.")
    value: float
    protocol: str = Field(min_length=1, description="On what data and how it was measured.")
    unit: str = ""


class ModelCard(_Part):
    """What a model file is; written by `save_model`, demanded by `read_model`."""

    card_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Also the file name.")
    version: str = Field(min_length=1)
    description: str = ""
    architecture: str = Field(min_length=1, description="Name of the network that the weights fit.")
    config: dict[str, JsonValue] = Field(default_factory=dict, description="Arguments that build the network.")
    preprocessing: dict[str, JsonValue] = Field(default_factory=dict, description="What happens to voxels first.")
    labels: tuple[Label, ...] = ()
    training_data: tuple[TrainingData, ...] = ()
    licence: str = Field(min_length=1, description="Licence of the weights.")
    research_only: bool = Field(False, description="Whether use needs the acknowledgement: research only.")
    metrics: tuple[Metric, ...] = ()
    library_version: str = Field("", description="MaskWhatMattersLib that wrote the file.")
    sha256: Sha256 | None = Field(None, description="Of the safetensors file; filled in by save_model.")

    @model_validator(mode="after")
    def _research_data_make_a_research_model(self) -> Self:
        restricted = [data.name for data in self.training_data if data.research_only]
        if restricted and not self.research_only:
            raise ValueError(
                f"the training data {', '.join(restricted)} are for research only, so the model must be, too"
            )
        return self


def card_path(model_path: Path) -> Path:
    """Where the card of a model file lies."""
    return model_path.with_suffix(".json")


def read_card(model_path: Path) -> ModelCard:
    """The card beside a model file.

    Raises:
        ModelFileError: Missing, or not a card; every wrong field is listed.
    """
    path = card_path(model_path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelFileError(
            f"The model {model_path.name} has no card: {path.name} is not beside it in {path.parent}. "
            "Copy both files; a model without its card is not used."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"The model card {path} cannot be read ({error}). Copy both files again.") from error
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'card'}: {each['msg']}" for each in error.errors(include_url=False)
        )
        raise ModelFileError(
            f"The model card {path} is not valid; found {wrong}. Copy both files again, or use a newer version of the "
            "extension if the model is newer."
        ) from error
