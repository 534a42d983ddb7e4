"""Model files of MASS networks: read with everything that does not fit listed, written with a card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from MaskWhatMattersLib.mass.model_choice import find_mass_model
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.models import Metric, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.models.networks import read_network
from MaskWhatMattersLib.networks.mass_config import ARCHITECTURE, MassNetworkConfig
from MaskWhatMattersLib.networks.mass_network import MassNetwork


def read_mass(model: str | Path | None = None) -> tuple[MassNetwork, MassPreprocessing, ModelCard]:
    """The network of a model file on the CPU, ready to be applied, how scans are prepared for it, and its card.

    Args:
        model: A name that `find_model` knows, a .safetensors file, or None for the default one.

    Raises:
        ModelFileError: Not found, damaged, made for another network, or a card or weights that do not fit; lists what.
    """
    network, preprocessing, card = read_network(
        find_mass_model(model), ARCHITECTURE, MassNetworkConfig, MassPreprocessing, MassNetwork
    )
    return network.eval(), preprocessing, card


def save_mass(
    path: Path,
    network: MassNetwork,
    preprocessing: MassPreprocessing,
    *,
    version: str,
    description: str,
    licence: str,
    training_data: Sequence[TrainingData] = (),
    metrics: Sequence[Metric] = (),
    research_only: bool = False,
) -> ModelCard:
    """Write a network and its card, which is named as the file.

    Args:
        path: Ends in .safetensors.
        network: Weights are stored as float16.
        preprocessing: How scans were prepared in training.
        version: Of the model.
        description: One or two sentences for the list of models.
        licence: Of the weights.
        training_data: What they learned from; research data make a research model.
        metrics: What was measured.
        research_only: Whether the weights may be used for research only, whatever the data.

    Raises:
        ModelFileError: As `save_model`.
    """
    card = ModelCard(
        name=path.stem,
        version=version,
        description=description,
        architecture=ARCHITECTURE,
        config=network.config.model_dump(mode="json"),
        preprocessing=preprocessing.model_dump(mode="json"),
        training_data=tuple(training_data),
        licence=licence,
        research_only=research_only or any(data.research_only for data in training_data),
        metrics=tuple(metrics),
    )
    return save_model(network.state_dict(), card, path)
