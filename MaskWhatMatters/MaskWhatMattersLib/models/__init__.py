"""Model files: safetensors with a card, found in a fixed order, loaded strictly. Importing this loads no torch."""

from MaskWhatMattersLib.models.card import Code, Label, Metric, ModelCard, TrainingData, read_card
from MaskWhatMattersLib.models.files import read_model, save_model
from MaskWhatMattersLib.models.hub import HubFile, HubModel, download, hub_models
from MaskWhatMattersLib.models.loading import load_into
from MaskWhatMattersLib.models.places import (
    BUNDLED_FOLDER,
    ModelEntry,
    default_user_folder,
    find_model,
    list_models,
    remove_model,
)
from MaskWhatMattersLib.models.third_party import read_third_party

__all__ = [
    "BUNDLED_FOLDER",
    "Code",
    "HubFile",
    "HubModel",
    "Label",
    "Metric",
    "ModelCard",
    "ModelEntry",
    "TrainingData",
    "default_user_folder",
    "download",
    "find_model",
    "hub_models",
    "list_models",
    "load_into",
    "read_card",
    "read_model",
    "read_third_party",
    "remove_model",
    "save_model",
]
