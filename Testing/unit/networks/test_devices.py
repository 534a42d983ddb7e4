"""Choosing the processor."""

import pytest
import torch

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.networks.devices import torch_device


def test_auto_is_a_gpu_where_there_is_one():
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["meteor", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_with_what_works(name):
    with pytest.raises(InputError, match='Use "auto" or "cpu"'):
        torch_device(name)
