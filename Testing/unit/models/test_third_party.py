"""Weights of other projects: tensors only."""

from __future__ import annotations

import os
import pickle

import pytest
import torch

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models import load_into, read_third_party
from unit.models.small_models import network


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return (os.system, (f"touch '{self.mark}'",))


def test_a_plain_state_dict_is_read(tmp_path):
    torch.save(network().state_dict(), tmp_path / "w.pth")
    load_into(network(), read_third_party(tmp_path / "w.pth"))


@pytest.mark.parametrize("key", ["state_dict", "model", "network_weights"])
def test_the_weights_of_a_checkpoint_are_taken_out_of_it(tmp_path, key):
    torch.save({"epoch": 3, key: network().state_dict(), "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    assert set(read_third_party(tmp_path / "w.pth")) == set(network().state_dict())


def test_keys_that_are_asked_for_come_before_the_usual_ones(tmp_path):
    averaged = {name: tensor + 1 for name, tensor in network().state_dict().items()}
    torch.save({"model": network().state_dict(), "averaged": averaged}, tmp_path / "w.pth")
    found = read_third_party(tmp_path / "w.pth", first=("averaged",))
    assert all(torch.equal(found[name], tensor) for name, tensor in averaged.items())


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, legacy):
    content = {"state_dict": Bomb(tmp_path / "ran")}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelFileError, match=r"not opened.*could run code"):
        read_third_party(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_malicious_pickle_is_refused_and_does_not_run(tmp_path):
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(ModelFileError, match="not opened"):
        read_third_party(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "w.pth"
    torch.save(network(64).state_dict(), path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ModelFileError, match="damaged"):
        read_third_party(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"w\.pth does not exist"):
        read_third_party(tmp_path / "w.pth")


@pytest.mark.parametrize("content", [{"epoch": 3, "lr": 0.1}, [torch.ones(1)], {}, torch.ones(2)])
def test_a_file_without_named_weights_says_what_is_in_it(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelFileError, match="no weights by name; found "):
        read_third_party(tmp_path / "w.pth")
