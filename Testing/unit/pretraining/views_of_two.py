"""Started twice by test_contrastive.py: each process holds the views of half the images."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed

from MaskWhatMattersLib.pretraining.contrastive import nt_xent


def views() -> tuple[torch.Tensor, torch.Tensor]:
    """Projections of two views of four images, always the same."""
    torch.manual_seed(0)
    return torch.randn(4, 8, requires_grad=True), torch.randn(4, 8, requires_grad=True)


def main(rank: int, folder: Path) -> None:
    """Write what this process has."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    first, second = (view.detach()[2 * rank : 2 * rank + 2].requires_grad_() for view in views())
    loss = nt_xent(first, second, 0.1)
    loss.backward()
    torch.save({"loss": loss.detach(), "gradient": first.grad}, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
