"""From a model file to a network that is ready, with everything that does not fit listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models.card import ModelCard
from MaskWhatMattersLib.models.files import read_model
from MaskWhatMattersLib.models.loading import load_into

if TYPE_CHECKING:
    from torch.nn import Module

C = TypeVar("C", bound=BaseModel)
P = TypeVar("P", bound=BaseModel)
N = TypeVar("N", bound="Module")


def read_network(
    model: str | Path,
    architecture: str,
    config_type: type[C],
    preprocessing_type: type[P],
    network_type: Callable[[C], N],
) -> tuple[N, P, ModelCard]:
    """The network of a model file on the CPU, how its images are prepared, and its card.

    Args:
        model: A name that `find_model` knows, or a .safetensors file.
        architecture: What the card must say.
        config_type: Validates `card.config`.
        preprocessing_type: Validates `card.preprocessing`.
        network_type: Builds the network from the config.

    Raises:
        ModelFileError: Not found, damaged, made for another network, or a card or weights that do not fit; lists what.
    """
    weights, card = read_model(model, architecture=architecture)
    try:
        config = config_type.model_validate(card.config)
        preprocessing = preprocessing_type.model_validate(card.preprocessing)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']} (found {each['input']!r:.60})"
            for each in error.errors(include_url=False)
        )
        raise ModelFileError(
            f"The card of the model {model} does not describe a network that can be built: {wrong}. "
            "Use a newer version of the extension if the model is newer, or another model."
        ) from error
    network = network_type(config)
    load_into(network, weights, source=model)
    return network, preprocessing, card
