"""A model that does not fit is refused with a list of what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import corn_phantoms
from MaskWhatMattersLib.corn.model_files import read_network
from MaskWhatMattersLib.corn.network import ARCHITECTURE, CornNetwork, CornNetworkConfig
from MaskWhatMattersLib.errors import ModelFileError


def read(path: Path) -> Any:
    return read_network(path, ARCHITECTURE, CornNetworkConfig, CornNetwork)


def changed(path: Path, part: str, **values: Any) -> Path:
    card = json.loads(path.with_suffix(".json").read_text())
    card[part] |= values
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def test_network_preprocessing_and_card_come_together(tmp_path: Path) -> None:
    network, preprocessing, card = read(corn_phantoms.save_tiny_atrium_model(tmp_path, spacing_mm=1.25))
    assert (network.config.width, preprocessing.spacing_mm, card.name) == (2, 1.25, "left-atrium")


def test_every_field_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    path = corn_phantoms.save_tiny_atrium_model(tmp_path)
    with pytest.raises(ModelFileError, match=r"width: .*\(found 'wide'\); heads: "):
        read(changed(path, "config", width="wide", heads=3))
    path = changed(corn_phantoms.save_tiny_atrium_model(tmp_path), "preprocessing", spacing_mm=-1)
    with pytest.raises(ModelFileError, match=r"spacing_mm: .*\(found -1\)"):
        read(path)


def test_weights_of_another_size_are_listed(tmp_path: Path) -> None:
    path = changed(corn_phantoms.save_tiny_atrium_model(tmp_path), "config", width=3)
    with pytest.raises(ModelFileError, match=r"of another shape: .*main\.encoder\.0\.0\.0\.weight"):
        read(path)
