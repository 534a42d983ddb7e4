"""Small networks that turn features of a voxel into the embedding whose covariance is compared."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.corn.losses import full_precision

RowNormalization = Literal["batch", "layer"]


class RowHead(nn.Sequential):
    """Linear, normalization, ReLU, linear: rows [N, width] to [N, d]."""

    def __init__(self, width: int, embedding: int, normalization: RowNormalization) -> None:
        between = nn.BatchNorm1d(embedding) if normalization == "batch" else nn.LayerNorm(embedding)
        super().__init__(nn.Linear(width, embedding), between, nn.ReLU(inplace=True), nn.Linear(embedding, embedding))


class BranchHeads(nn.Module):
    """Projection g and predictor q of one branch.

    The pool holds g of labelled voxels, unlabelled ones go through q as well, as in BYOL (arXiv:2006.07733).

    Args:
        width: Features per voxel.
        embedding: Length d of embeddings.
        normalization: `batch` takes its statistics from the rows given, so they depend on which voxels were chosen.
        unit: Whether embeddings are scaled to a mean square of 1, so that covariances keep one scale.
    """

    def __init__(self, width: int, embedding: int, normalization: RowNormalization, *, unit: bool) -> None:
        super().__init__()
        self.projection = RowHead(width, embedding, normalization)
        self.predictor = RowHead(embedding, embedding, normalization)
        self.unit = unit

    def forward(self, rows: Tensor) -> Tensor:
        """q(g(rows)) of rows [N, width], float32."""
        with torch.autocast(rows.device.type, enabled=False):
            return self._scaled(self.predictor(self.projection(full_precision(rows))))

    @torch.no_grad()
    def project(self, rows: Tensor) -> Tensor:
        """g(rows) of rows [N, width] as in evaluation, float32, detached."""
        was_training = self.projection.training
        self.projection.eval()
        with torch.autocast(rows.device.type, enabled=False):
            embedded = self._scaled(self.projection(full_precision(rows)))
        self.projection.train(was_training)
        return embedded

    def _scaled(self, embedded: Tensor) -> Tensor:
        return unit_scaled(embedded) if self.unit else embedded


def unit_scaled(embedded: Tensor) -> Tensor:
    """Rows [..., d] divided by their length and multiplied by sqrt(d)."""
    return functional.normalize(embedded, dim=-1) * math.sqrt(embedded.shape[-1])
