"""Started by torchrun from test_fabric.py: gradients of a V-Net, each process on its share of one batch."""

from __future__ import annotations

import sys
from typing import NamedTuple

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.networks.vnet import VNet, VNetConfig
from MaskWhatMattersLib.training.fabric import make_fabric, prepare_network

SAMPLES = 4


class Losses(NamedTuple):
    total: Tensor
    parts: dict[str, Tensor]


class Training(nn.Module):
    """A network and its loss as one module, with a head that this loss leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.network = VNet(VNetConfig(width=2, depth=2, normalization="instance", dropout=0.0))
        self.unused = nn.Linear(2, 2)

    def forward(self, images: Tensor, labels: Tensor) -> Losses:
        """Mean over samples of each sample's own loss."""
        logits = self.network(images).logits
        per_sample = nn.functional.cross_entropy(logits, labels, reduction="none").flatten(1).mean(1)
        return Losses(per_sample.mean(), {"loss": per_sample.detach().mean()})


def gradients(rank: int, share: int, device: str = "cpu") -> dict[str, Tensor]:
    """Gradients after one backward pass on `share` samples of the batch."""
    fabric = make_fabric(device, "fp32")
    torch.manual_seed(0)
    training = Training()
    prepare_network(training)
    module = fabric.setup(training)
    images, labels = torch.randn(SAMPLES, 1, 8, 8, 8), torch.randint(2, (SAMPLES, 8, 8, 8))
    mine = slice(share * rank, share * (rank + 1))
    fabric.backward(module(images[mine].to(fabric.device), labels[mine].to(fabric.device)).total)
    return {name: weight.grad for name, weight in training.named_parameters() if weight.grad is not None}


def main() -> None:
    """Write what the first process has after the exchange."""
    torch.set_num_threads(1)
    fabric = make_fabric("cpu", "fp32")
    assert fabric.world_size == 2
    found = gradients(fabric.global_rank, share=SAMPLES // 2)
    if fabric.is_global_zero:
        torch.save(found, sys.argv[1])


if __name__ == "__main__":
    main()
