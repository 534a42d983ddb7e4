"""What the networks got right in labelled scans: embeddings per scan and class, kept on the device over the steps."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.corn.selection import valid_first

Fusion = Literal["overwrite", "rows", "moments"]


class PoolUpdate(NamedTuple):
    """Embeddings of correctly predicted voxels of some labelled patches, the most confident first.

    Attributes:
        scans: Index of each patch's scan, long [L].
        rows: [L, C, R, d].
        confidence: Log-odds, [L, C, R].
        valid: Which rows exist, [L, C, R].
        available: Number of correct voxels that the rows stand for, [L, C].
    """

    scans: Tensor
    rows: Tensor
    confidence: Tensor
    valid: Tensor
    available: Tensor


class Anchors(NamedTuple):
    """Pool embeddings that unlabelled voxels are compared with.

    Attributes:
        rows: float32 [C, A, d].
        valid: Which rows exist, [C, A]; valid ones come first, the others repeat them.
    """

    rows: Tensor
    valid: Tensor


class FeaturePool(nn.Module):
    """Up to R embeddings per labelled scan and class, with their confidence, in buffers that resume.

    Old and new meet in one of three ways; a class that a patch has no correct voxel of keeps what it had.

    - `overwrite`: the new replaces the old. The released code averages 0.9 old + 0.1 new only for arrays of one shape,
      which the varying number of correct voxels all but never gives, so this is what it does.
    - `rows`: 0.9 old + 0.1 new, row by row in the order of confidence, as the paper describes the fusion.
    - `moments`: rows are replaced, while 0.9 old + 0.1 new applies to the first and second moments of the class.
      Averaging unrelated rows shrinks their covariance; averaging moments does not.

    Args:
        scans: Number of labelled scans, S.
        classes: Number of classes, C.
        rows: R.
        embedding: Length d of embeddings.
        fusion: How the old and the new are joined.
        share: Of the old.
        dtype: Of stored rows; moments are float32.
    """

    features: Tensor
    confidence: Tensor
    available: Tensor
    first: Tensor
    second: Tensor

    def __init__(
        self, scans: int, classes: int, rows: int, embedding: int, *, fusion: Fusion, share: float, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.fusion, self.share = fusion, share
        self.register_buffer("features", torch.zeros(scans, classes, rows, embedding, dtype=dtype))
        self.register_buffer("confidence", torch.full((scans, classes, rows), -torch.inf))
        self.register_buffer("available", torch.zeros(scans, classes))
        moments = (scans, classes) if fusion == "moments" else (0, classes)
        self.register_buffer("first", torch.zeros(*moments, embedding))
        self.register_buffer("second", torch.zeros(*moments, embedding, embedding))

    @torch.no_grad()
    def update(self, news: PoolUpdate) -> None:
        """Take in the patches one after the other; those of all processes, so that every process has the same pool."""
        news = PoolUpdate(*(_of_all_processes(part) for part in news))
        for index in range(news.scans.shape[0]):
            self._take(PoolUpdate(*(part[index : index + 1] for part in news)))

    @torch.no_grad()
    def sample(self, rows: int, confident: int, generator: torch.Generator) -> Anchors:
        """Embeddings of each class from all scans: the most confident ones, then random ones of the rest.

        Random means by voxel: a row is drawn in proportion to the number of correct voxels that it stands for.
        """
        confidence = self.confidence.transpose(0, 1).flatten(1)
        confident = min(confident, rows)
        stored = torch.isfinite(confidence)
        voxels = (self.available / torch.isfinite(self.confidence).sum(-1).clamp_min(1)).clamp_min(1)
        voxels = voxels[..., None].expand_as(self.confidence).transpose(0, 1).flatten(1)
        chosen, valid = [], []
        if confident:
            best = confidence.topk(min(confident, confidence.shape[1]), dim=1)
            chosen.append(best.indices)
            valid.append(best.values > -torch.inf)
            stored = stored.scatter(1, best.indices, False)
        uniform = torch.rand(confidence.shape, generator=generator, device=confidence.device).clamp_min(1e-12)
        others = torch.where(stored, uniform.log() / voxels, -torch.inf)
        drawn = others.topk(min(rows - confident, others.shape[1]), dim=1)
        chosen.append(drawn.indices)
        valid.append(drawn.values > -torch.inf)
        indices, exists = valid_first(torch.cat(chosen, 1), torch.cat(valid, 1))
        scans, places = indices // self.features.shape[2], indices % self.features.shape[2]
        classes = torch.arange(indices.shape[0], device=indices.device)[:, None]
        return Anchors(self.features[scans, classes, places].float(), exists)

    def class_covariances(self) -> Tensor:
        """Covariance of each class over all scans that have it, from the fused moments, [C, d, d]."""
        seen = (self.available > 0).to(self.first.dtype)
        count = seen.sum(0).clamp_min(1)
        first = (self.first * seen[..., None]).sum(0) / count[:, None]
        second = (self.second * seen[..., None, None]).sum(0) / count[:, None, None]
        return second - first[:, :, None] * first[:, None, :]

    def _take(self, new: PoolUpdate) -> None:
        scan = new.scans
        present = new.valid.any(-1)
        old_rows, old_confidence = self.features[scan], self.confidence[scan]
        rows, confidence = new.rows.to(self.features.dtype), new.confidence.float().masked_fill(~new.valid, -torch.inf)
        if self.fusion == "rows":
            both = new.valid & torch.isfinite(old_confidence)
            rows = torch.where(both[..., None], torch.lerp(rows, old_rows, self.share), rows)
            mixed = torch.lerp(new.confidence.float(), old_confidence.masked_fill(~both, 0), self.share)
            confidence = torch.where(both, mixed, confidence)
        # The released code forgets a scan's old voxels; elsewhere they stay where there are too few new ones.
        replaced = present[..., None].expand_as(new.valid) if self.fusion == "overwrite" else new.valid
        self.features[scan] = torch.where(replaced[..., None], rows, old_rows)
        self.confidence[scan] = torch.where(replaced, confidence, old_confidence)
        if self.fusion == "moments":
            self._fuse_moments(new, present)
        self.available[scan] = torch.where(present, new.available.float(), self.available[scan])

    def _fuse_moments(self, new: PoolUpdate, present: Tensor) -> None:
        rows = new.rows.float() * new.valid[..., None]
        count = new.valid.sum(-1).clamp_min(1)
        moments = (
            (self.first, rows.sum(-2) / count[..., None]),
            (self.second, rows.mT @ rows / count[..., None, None]),
        )
        had = self.available[new.scans] > 0
        for stored, value in moments:
            old = stored[new.scans]
            shape = (*present.shape, *[1] * (value.ndim - 2))
            fused = torch.where(had.view(shape), torch.lerp(value, old, self.share), value)
            stored[new.scans] = torch.where(present.view(shape), fused, old)


def _of_all_processes(values: Tensor) -> Tensor:
    """Concatenation over the processes of a distributed training; the values themselves outside one."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)
