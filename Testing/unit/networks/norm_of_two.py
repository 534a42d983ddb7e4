"""Started twice by test_masked_norm.py: each process normalizes one image of two."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed, nn

from MaskWhatMattersLib.networks.masked_norm import masked_norm


def features_and_visible(*spatial: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of three channels and what of them is visible, always the same."""
    torch.manual_seed(0)
    features = torch.randn(2, 3, *spatial, dtype=torch.float64) * 2 + 5
    return features.requires_grad_(), torch.rand(2, 1, *spatial) < 0.4


def main(rank: int, folder: Path) -> None:
    """Write what this process has."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    features, visible = (part.detach()[rank : rank + 1] for part in features_and_visible(5, 6))
    features.requires_grad_()
    norm = nn.BatchNorm2d(3).double()
    normed = masked_norm(norm, features, visible)
    normed.sin().sum().backward()
    found = {"normed": normed.detach(), "gradient": features.grad, "norm": norm.state_dict()}
    torch.save(found, folder / f"{rank}.pt")
    distributed.barrier()  # one that leaves while the other still talks may be ended by its own threads
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
