"""Which tokens an encoder does not see, and how large their share turned out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class TokenMask(NamedTuple):
    """The hidden tokens of a batch, and the region that decided about them.

    The shares are tensors on the device of the mask, so that asking for them does not wait for the device.

    Attributes:
        hidden: True for tokens that the encoder does not see, bool [B, *grid].
        relevant: True for tokens of the region, bool [B, *grid]; None where no region was asked for.
    """

    hidden: Tensor
    relevant: Tensor | None = None

    def ratio(self) -> Tensor:
        """Hidden share of all tokens, float32 [B]."""
        return self.hidden.flatten(1).float().mean(dim=1)

    def ratio_inside(self) -> Tensor:
        """Hidden share of the tokens in the region, float32 [B]; NaN for images without one."""
        if self.relevant is None:
            return torch.full_like(self.ratio(), torch.nan)
        return _share(self.hidden, self.relevant)

    def ratio_outside(self) -> Tensor:
        """Hidden share of all other tokens, float32 [B]; NaN where the region is everywhere."""
        return self.ratio() if self.relevant is None else _share(self.hidden, ~self.relevant)

    def has_region(self) -> Tensor:
        """Whether any token is relevant, bool [B]."""
        if self.relevant is None:
            return torch.zeros(len(self.hidden), dtype=torch.bool, device=self.hidden.device)
        return self.relevant.flatten(1).any(dim=1)


def _share(hidden: Tensor, of: Tensor) -> Tensor:
    return (hidden & of).flatten(1).sum(dim=1) / of.flatten(1).sum(dim=1)  # 0 / 0 is NaN
