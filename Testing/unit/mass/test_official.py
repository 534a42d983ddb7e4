"""The released weights: every tensor has its place, and the file becomes a model file."""

from __future__ import annotations

import math

import pytest
import torch

from MaskWhatMattersLib.errors import ConsentRequiredError, ModelFileError
from MaskWhatMattersLib.mass import official
from MaskWhatMattersLib.mass.model_files import read_mass
from MaskWhatMattersLib.networks.mass_config import PRESETS, MassNetworkConfig
from MaskWhatMattersLib.networks.mass_network import MassNetwork
from official_mass import official_shapes
from unit.models.small_models import FileServer

TINY = {"width": 2, "window": 16, "queries": 3}


@pytest.fixture
def tiny_release(monkeypatch):
    """Weights by the released names, with a much narrower network in the place of the released one."""
    monkeypatch.setitem(PRESETS, "official", MassNetworkConfig(memory_slots=4, **TINY))
    return {name: torch.randn(shape) for name, shape in official_shapes(slots=4, **TINY).items()}


def test_the_facts_are_those_of_the_release():
    shapes = official_shapes()
    parameters = sum(math.prod(shape) for name, shape in shapes.items() if not name.startswith("task_prior"))
    assert (len(shapes), parameters) == (572, 120_126_373)


def test_every_released_tensor_has_its_place():
    shapes = {official.our_name(name): shape for name, shape in official_shapes(slots=4, **TINY).items()}
    network = MassNetwork(MassNetworkConfig(memory_slots=4, **TINY))
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == shapes


def test_converted_weights_segment(tiny_release, tmp_path):
    torch.save({"epoch": 3, "model_state_dict": tiny_release}, tmp_path / "mass_base.pth")
    official.convert_official(tmp_path / "mass_base.pth", tmp_path)
    network, preprocessing, card = read_mass(tmp_path / "mass-base.safetensors")
    found = network.decoder.fusions[1][0].labels_see_places.attention.projection.weight
    name = "decoder.prior_fuse.1.attn_layers.0.prior_aggregate_block.fn.mha.in_proj_weight"
    torch.testing.assert_close(found, tiny_release[name], atol=1e-3, rtol=1e-3)
    assert (preprocessing.normalise, card.licence, card.research_only) == ("crop", "MIT", True)
    assert "not verified" in card.description
    assert network(*[torch.randn(1, 1, 16, 16, 16)] * 2, torch.ones(1, 2, 16, 16, 16)).isfinite().all()


@pytest.mark.parametrize("key", ["ema_model_state_dict", "ema"])
def test_averaged_weights_come_first_and_prefixes_are_dropped(tiny_release, tmp_path, key):
    averaged = {f"module.{name}": tensor + 1 for name, tensor in tiny_release.items()}
    torch.save({"model_state_dict": tiny_release, key: averaged}, tmp_path / "mass_base.pth")
    official.convert_official(tmp_path / "mass_base.pth", tmp_path)
    network, _, _ = read_mass(tmp_path / "mass-base.safetensors")
    stem = tiny_release["encoder.inc.conv1.weight"] + 1
    torch.testing.assert_close(network.encoder.stem.weight, stem, atol=2e-3, rtol=2e-3)


def test_another_layout_is_refused_with_what_differs(tiny_release, tmp_path):
    del tiny_release["out.norm.bias"]
    tiny_release["encoder.inc.conv1.weight"] = torch.zeros(3, 1, 3, 3, 3)
    torch.save(tiny_release | {"head.weight": torch.zeros(1)}, tmp_path / "mass_base.pth")
    with pytest.raises(ModelFileError) as error:
        official.convert_official(tmp_path / "mass_base.pth", tmp_path)
    for part in ("1 missing: classifier.norm.bias", "1 unexpected: head.weight", "encoder.stem.weight (wanted [2, 1"):
        assert part in str(error.value)
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_download_asks_and_says_that_nothing_is_verified(tiny_release, tmp_path):
    torch.save(tiny_release, tmp_path / "mass_base.pth")
    server = FileServer({"/mass_base.pth": (tmp_path / "mass_base.pth").read_bytes()})
    try:
        url, asked = f"{server.url}/mass_base.pth", []
        with pytest.raises(ConsentRequiredError, match="checksum not known"):
            official.download_official(tmp_path, consent=lambda offered: asked.append(offered.summary), url=url)
        assert "licence MIT" in asked[0]
        assert server.requests == []
        card = official.download_official(tmp_path, consent=True, url=url)
    finally:
        server.close()
    assert card.name == "mass-base"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mass-base.json",
        "mass-base.safetensors",
        "mass_base.pth",
    ]


def test_a_server_that_does_not_answer_is_said_so(tmp_path):
    with pytest.raises(ModelFileError, match="does not answer"):
        official.download_official(tmp_path, consent=True, url="http://127.0.0.1:9/mass_base.pth")


def test_the_command_converts_and_says_where(tiny_release, tmp_path, monkeypatch, capsys):
    torch.save(tiny_release, tmp_path / "mass_base.pth")
    arguments = ["official", str(tmp_path), "--weights", str(tmp_path / "mass_base.pth")]
    monkeypatch.setattr("sys.argv", arguments)
    official.main()
    assert f"mass-base 1.0.0 is in {tmp_path}" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*arguments[:-1], str(tmp_path / "nothing.pth")])
    with pytest.raises(SystemExit):
        official.main()
    assert "does not exist" in capsys.readouterr().err
