"""Writing and reading model files."""

from __future__ import annotations

import pickle

import pytest
import torch

from MaskWhatMattersLib import __version__
from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models import read_model, save_model
from unit.models.small_models import card, network, saved
from unit.volumes.grids import full_disk


def test_a_saved_model_comes_back_with_its_card(tmp_path):
    state = network().state_dict()
    written = save_model(state, card(config={"width": 4}), tmp_path / "m.safetensors")
    tensors, found = read_model(tmp_path / "m.safetensors")
    assert found == written
    assert found.config == {"width": 4}
    assert found.library_version == __version__
    assert all(torch.allclose(tensors[name].float(), state[name].float(), atol=1e-3) for name in state)


def test_weights_and_card_may_be_read_by_the_same_people(tmp_path):
    save_model(network().state_dict(), card(), tmp_path / "m.safetensors")
    weights, beside = ((tmp_path / name).stat().st_mode for name in ("m.safetensors", "m.json"))
    assert weights == beside


def test_the_same_model_is_the_same_file(tmp_path):
    state = network().state_dict()
    assert len({save_model(state, card(), tmp_path / f"{index}.safetensors").sha256 for index in range(6)}) == 1


def test_floats_are_stored_as_float16_and_integers_as_they_are(tmp_path):
    path = tmp_path / "m.safetensors"
    state = {"a": torch.ones(2, dtype=torch.float64), "n": torch.tensor(70_000), "b": torch.tensor([True])}
    save_model(state, card(), path)
    tensors, _ = read_model(path)
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        "a": torch.float16,
        "n": torch.int64,
        "b": torch.bool,
    }
    assert tensors["n"] == 70_000


def test_tied_and_transposed_weights_are_saved(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    save_model({"a": weight, "b": weight, "c": weight.T}, card(), tmp_path / "m.safetensors")
    tensors, _ = read_model(tmp_path / "m.safetensors")
    assert torch.equal(tensors["c"].T, tensors["a"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_float16_cannot_hold_are_refused_by_name(tmp_path, value):
    state = {"good": torch.ones(2), "bad.weight": torch.tensor([value])}
    with pytest.raises(ModelFileError, match=r"65504.*: bad\.weight\."):
        save_model(state, card(), tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_no_tensors_are_no_model(tmp_path):
    with pytest.raises(ModelFileError, match="at least one tensor"):
        save_model({}, card(), tmp_path / "m.safetensors")


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"m\.pth"):
        save_model({"a": torch.ones(1)}, card(), tmp_path / "m.pth")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelFileError, match="could not be written"):
        save_model({"a": torch.ones(1)}, card(), tmp_path / "none" / "m.safetensors")


def test_a_full_disk_leaves_the_old_model(tmp_path):
    path = saved(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with full_disk(at_most_bytes=50_000), pytest.raises(ModelFileError, match="could not be written"):
        save_model({"a": torch.ones(500, 500)}, card(), path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_model_for_another_network_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="concept-unet is wanted, found tiny-net"):
        read_model(saved(tmp_path), architecture="concept-unet")


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_model_is_refused(tmp_path, keep):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ModelFileError, match="damaged or ends too early"):
        read_model(path)


def test_changed_weights_do_not_match_the_card(tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="checksum"):
        read_model(path)


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_pickle_given_as_a_model_is_refused_unopened(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path)
    write({"a": Bomb()}, path)
    with pytest.raises(ModelFileError, match=r"pickle.*read_third_party"):
        read_model(path)
    assert not (tmp_path / "exploded").exists()


def test_a_model_whose_header_begins_like_a_pickle_is_read(tmp_path):
    """The first bytes are the length of the header: 0x..0280 looks like the start of a pickle."""
    for filler in range(440, 640):
        path, name = tmp_path / "m.safetensors", "a" * filler
        save_model({name: torch.ones(1)}, card(), path)
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    else:
        pytest.fail("no header of that length")
    assert read_model(path)[0][name] == 1
