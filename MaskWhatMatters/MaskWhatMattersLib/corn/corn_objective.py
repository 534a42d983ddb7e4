"""CORN (arXiv:2410.15916) in its three versions: as in the paper, as in the released code, and a well-posed one.

All three share one flow per step: labelled voxels that both branches got right go into the pool; unlabelled voxels that
both branches agree on are chosen, embedded and compared with pool voxels by CORAL distances; the two branches'
distances and their predictions are made to agree. Voxels are chosen by index first and only those are embedded. That is
the same as embedding all and choosing afterwards, but for the batch statistics of the heads' BatchNorm1d (`paper`,
`code`), which come from the chosen voxels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.correlation import (
    coral_distance,
    correlation_loss,
    covariance,
    distance_matrix,
    released_correlation_loss,
    shrink,
    symmetric_correlation_loss,
)
from MaskWhatMattersLib.corn.feature_pool import Anchors, FeaturePool, Fusion, PoolUpdate
from MaskWhatMattersLib.corn.heads import BranchHeads, RowNormalization, unit_scaled
from MaskWhatMattersLib.corn.loss_config import LossNumbers
from MaskWhatMattersLib.corn.losses import (
    cross_pseudo_loss,
    foreground_log_odds,
    sharpened_consistency,
    soft_dice_loss,
    voxel_cross_entropy,
)
from MaskWhatMattersLib.corn.network import CornNetworkConfig, CornOutput
from MaskWhatMattersLib.corn.objective_base import Objective, Term
from MaskWhatMattersLib.corn.selection import Prediction, Rest, Selection, gather_rows, predict, select_voxels


class Embedded(NamedTuple):
    """Unlabelled voxels that both branches agree on, as each branch embeds them.

    Attributes:
        main: [C, K, d].
        auxiliary: Of the same voxels, [C, K, d].
        valid: Which rows exist, [C, K].
        available: Agreed voxels per class, [C].
    """

    main: Tensor
    auxiliary: Tensor
    valid: Tensor
    available: Tensor


class CornObjective(Objective):
    """What the three versions share."""

    normalization: RowNormalization = "layer"
    unit = False
    after_dropout = False
    fusion: Fusion = "overwrite"
    pool_dtype = torch.float32
    pool_rest: Rest = "any"
    unlabelled_rest: Rest = "unsure"

    def __init__(self, numbers: LossNumbers, seed: int, network_config: CornNetworkConfig, labelled_scans: int) -> None:
        super().__init__(numbers, seed)
        self.classes = network_config.classes
        width, embedding = network_config.width, numbers.embedding
        self.main_heads = BranchHeads(width, embedding, self.normalization, unit=self.unit)
        self.auxiliary_heads = BranchHeads(width, embedding, self.normalization, unit=self.unit)
        self.pool = FeaturePool(
            labelled_scans,
            self.classes,
            numbers.pool_rows,
            embedding,
            fusion=self.fusion,
            share=numbers.fusion,
            dtype=self.pool_dtype,
        )

    def unsupervised(self, output: CornOutput, batch: CornBatch, step: int) -> dict[str, Term]:
        """Cross teaching and correlation, each with its ramped weight."""
        with torch.autocast(batch.images.device.type, enabled=False):
            return self._unsupervised(output, batch, step)

    def _unsupervised(self, output: CornOutput, batch: CornBatch, step: int) -> dict[str, Term]:
        generator = self.generator(step, batch.images.device)
        ramp = self.ramp(step)
        predictions = predict(output.main.logits), predict(output.auxiliary.logits)
        self.fill_pool(output, batch, predictions, generator)
        terms = {"cross": Term(self.cross(output, batch), ramp * self.numbers.cross_weight)}
        if batch.labelled < batch.images.shape[0]:
            chosen = self.choose(batch, predictions, generator)
            anchors = self.anchors(generator)
            correlation = self.correlation(self.embed(output, batch, chosen), anchors)
            terms["correlation"] = Term(correlation, ramp * self.numbers.correlation_weight)
        return terms

    def cross(self, output: CornOutput, batch: CornBatch) -> Tensor:
        """Loss by which each branch teaches the other."""
        raise NotImplementedError

    def correlation(self, embedded: Embedded, anchors: Anchors) -> Tensor:
        """Loss between the distances of the two branches to the pool."""
        raise NotImplementedError

    def rank(self, main: Prediction, auxiliary: Prediction) -> Tensor:
        """Confidence by which voxels are chosen, [B, N]: both branches have to be sure."""
        return torch.minimum(main.confidence, auxiliary.confidence)

    @torch.no_grad()
    def fill_pool(
        self,
        output: CornOutput,
        batch: CornBatch,
        predictions: tuple[Prediction, Prediction],
        generator: torch.Generator,
    ) -> None:
        """Put voxels that both branches got right into the pool, as the mean of both branches' projections."""
        main, auxiliary = (Prediction(*(part[: batch.labelled] for part in one)) for one in predictions)
        labels = batch.labels.flatten(1)
        correct = (main.classes == labels) & (auxiliary.classes == labels)
        confidence = self.rank(main, auxiliary)
        rows = self.numbers.pool_rows
        chosen = select_voxels(
            torch.where(correct, labels, -1),
            confidence,
            class_count=self.classes,
            rows=rows,
            confident=round(rows * self.numbers.anchor_confident_share),
            rest=self.pool_rest,
            generator=generator,
        )
        patches, voxels = _places(chosen, batch.labelled, labels.shape[1])
        embedded = 0.5 * (
            self.main_heads.project(gather_rows(self._features(output.main), patches, voxels))
            + self.auxiliary_heads.project(gather_rows(self._features(output.auxiliary), patches, voxels))
        )
        if self.unit:
            embedded = unit_scaled(embedded)
        shape = chosen.indices.shape
        self.pool.update(
            PoolUpdate(
                batch.scan_ids[: batch.labelled],
                _padded(embedded.view(*shape, -1), rows, 2),
                _padded(confidence[patches, voxels].view(shape), rows, 2),
                _padded(chosen.valid, rows, 2),
                chosen.available,
            )
        )

    @torch.no_grad()
    def choose(
        self, batch: CornBatch, predictions: tuple[Prediction, Prediction], generator: torch.Generator
    ) -> Selection:
        """Unlabelled voxels of which both branches say the same; all unlabelled patches are one set."""
        main, auxiliary = (Prediction(*(part[batch.labelled :] for part in one)) for one in predictions)
        agreed = torch.where(main.classes == auxiliary.classes, main.classes, -1)
        rows = self.numbers.unlabelled_rows
        return select_voxels(
            agreed.view(1, -1),
            self.rank(main, auxiliary).view(1, -1),
            class_count=self.classes,
            rows=rows,
            confident=round(rows * self.numbers.confident_share),
            rest=self.unlabelled_rest,
            generator=generator,
        )

    def embed(self, output: CornOutput, batch: CornBatch, chosen: Selection) -> Embedded:
        """q(g(.)) of the chosen unlabelled voxels, the same voxels for both branches."""
        unlabelled = batch.images.shape[0] - batch.labelled
        patches, voxels = _places(chosen, unlabelled, batch.images[0, 0].numel())
        shape = (*chosen.indices.shape[1:], -1)
        rows = [gather_rows(self._features(branch), patches + batch.labelled, voxels) for branch in output]
        return Embedded(
            self.main_heads(rows[0]).view(shape),
            self.auxiliary_heads(rows[1]).view(shape),
            chosen.valid[0],
            chosen.available[0],
        )

    def anchors(self, generator: torch.Generator) -> Anchors:
        """Pool voxels of this step."""
        rows = self.numbers.anchor_rows
        return self.pool.sample(rows, round(rows * self.numbers.anchor_confident_share), generator)

    def _features(self, branch: object) -> Tensor:
        features: Tensor = getattr(branch, "dropped" if self.after_dropout else "features")
        return features


class CodeObjective(CornObjective):
    """What the released code does (gradients through targets included).

    Soft Dice alone, x 0.5; mean squared error to the other branch's sharpened probabilities over all patches and
    classes, target not detached; embeddings after dropout; the most and the least confident unlabelled voxels by the
    main branch; pool voxels all random; up to C x C distances between sets of voxels, compared as
    `released_correlation_loss` says. A class with fewer than `anchor_rows` pool voxels has no distances.

    The choice where the description is silent: where fewer than 6400 voxels agree, none is counted twice.
    """

    normalization: RowNormalization = "batch"
    after_dropout = True
    unlabelled_rest: Rest = "least"

    def rank(self, main: Prediction, auxiliary: Prediction) -> Tensor:
        """Confidence of the main branch alone."""
        return main.confidence

    def supervised(self, output: CornOutput, batch: CornBatch) -> Tensor:
        """Soft Dice of both branches, summed."""
        dice = [soft_dice_loss(foreground_log_odds(branch.logits[: batch.labelled]), batch.labels) for branch in output]
        return torch.stack(dice).sum()

    def cross(self, output: CornOutput, batch: CornBatch) -> Tensor:
        """Sharpened mutual consistency, both ways through the target."""
        return sharpened_consistency(output.main.logits, output.auxiliary.logits, self.numbers.sharpening, detach=False)

    def correlation(self, embedded: Embedded, anchors: Anchors) -> Tensor:
        """-(1/k) sum of auxiliary distances times log-softmax of main distances."""
        pool = covariance(anchors.rows, anchors.valid)
        exists = embedded.valid.sum(1) >= 2
        full = anchors.valid.sum(1) >= self.numbers.anchor_rows
        return released_correlation_loss(
            distance_matrix(covariance(embedded.main, embedded.valid), pool),
            distance_matrix(covariance(embedded.auxiliary, embedded.valid), pool),
            exists[:, None] & full[None, :],
        )


class GroupedObjective(CornObjective):
    """Distances between groups of voxels: CORR as a matrix that exists.

    The paper's m x n matrix has the CORAL distance of an anchor to an unlabelled vector in each entry; the covariance
    of one vector is not defined. Here each class's chosen unlabelled voxels are dealt into G_u groups and its pool
    voxels into G_p, every group with its share of confident and unsure voxels, and an entry is the distance of two
    groups' shrunk covariances: (C G_u) x (C G_p). Rows become probabilities by softmax(-distance / temperature) with
    the running median of all distances as temperature.
    """

    temperature: Tensor

    def __init__(self, numbers: LossNumbers, seed: int, network_config: CornNetworkConfig, labelled_scans: int) -> None:
        super().__init__(numbers, seed, network_config, labelled_scans)
        self.register_buffer("temperature", torch.zeros(()))

    def correlation(self, embedded: Embedded, anchors: Anchors) -> Tensor:
        """Loss between the matrices of both branches; 0 until every class has enough voxels here and in the pool."""
        enough = (embedded.available >= self.numbers.minimum_voxels).all() & anchors.valid.all()
        pool = self._groups(anchors.rows, anchors.valid, self.numbers.pool_groups)
        main, auxiliary = (
            distance_matrix(self._groups(rows, embedded.valid, self.numbers.unlabelled_groups), pool)
            for rows in (embedded.main, embedded.auxiliary)
        )
        loss = self.compare(main, auxiliary, self._updated_temperature(main, auxiliary, enough), embedded)
        return torch.where(enough, loss, torch.zeros_like(loss))

    def compare(self, main: Tensor, auxiliary: Tensor, temperature: Tensor, embedded: Embedded) -> Tensor:
        """Loss between two matrices of distances [C G_u, C G_p]."""
        raise NotImplementedError

    def _groups(self, rows: Tensor, valid: Tensor, groups: int) -> Tensor:
        """Shrunk covariances [C groups, d, d]; voxel i is in group i modulo their number."""
        size = rows.shape[1] // groups
        dealt = rows[:, : size * groups].unflatten(1, (size, groups)).transpose(1, 2).flatten(0, 1)
        exists = valid[:, : size * groups].unflatten(1, (size, groups)).transpose(1, 2).flatten(0, 1)
        return shrink(covariance(dealt, exists), self.numbers.shrinkage)

    @torch.no_grad()
    def _updated_temperature(self, main: Tensor, auxiliary: Tensor, enough: Tensor) -> Tensor:
        median = torch.cat([main, auxiliary]).median()
        decay = self.numbers.temperature_decay
        moved = torch.where(self.temperature > 0, torch.lerp(median, self.temperature, decay), median)
        self.temperature.copy_(torch.where(enough, moved, self.temperature))
        return torch.where(self.temperature > 0, self.temperature, median)


class PaperObjective(GroupedObjective):
    """What the paper says: cross entropy throughout, confidence ranking, pool fusion by averaging.

    Voxel cross entropy on both branches; cross entropy against the other branch's hard pseudo-label on unlabelled
    patches only; distances through `CE(CORR_main, CORR_aux) / m`, one way; both ramped weights end at beta = 1 ("both
    0.1 initially" is the option cross_weight = correlation_weight = 0.1).

    Choices where the paper is silent: BatchNorm1d in the heads and their shape as in the code; embeddings before
    dropout; unlabelled voxels 3/4 most confident, 1/4 random unsure ones; the target distances stay in the graph, as no
    stop of the gradient is mentioned; ramp as in the code.
    """

    normalization: RowNormalization = "batch"
    fusion: Fusion = "rows"

    def supervised(self, output: CornOutput, batch: CornBatch) -> Tensor:
        """Cross entropy of both branches, summed."""
        return torch.stack(
            [voxel_cross_entropy(branch.logits[: batch.labelled], batch.labels) for branch in output]
        ).sum()

    def cross(self, output: CornOutput, batch: CornBatch) -> Tensor:
        """Cross pseudo supervision on the unlabelled patches."""
        return cross_pseudo_loss(output.main.logits[batch.labelled :], output.auxiliary.logits[batch.labelled :])

    def compare(self, main: Tensor, auxiliary: Tensor, temperature: Tensor, embedded: Embedded) -> Tensor:
        """Cross entropy of the rows, main branch against auxiliary one."""
        return correlation_loss(main, auxiliary, temperature)


class OurObjective(GroupedObjective):
    """The well-posed version: what moves is told apart from what it moves towards.

    Half Dice, half cross entropy; sharpened mutual consistency as in the code with detached targets; embeddings before
    dropout (after it, half of their channels are zeros at random, which alone changes second-order statistics), of mean
    square 1, through LayerNorm; fused moments in the pool; symmetric cross entropy of the distances with detached
    targets, plus `alignment_weight` times the mean CORAL distance of each class to the same class in the pool, by its
    fused covariance.
    """

    unit = True
    fusion: Fusion = "moments"
    pool_dtype = torch.float16

    def cross(self, output: CornOutput, batch: CornBatch) -> Tensor:
        """Sharpened mutual consistency; targets are fixed."""
        return sharpened_consistency(output.main.logits, output.auxiliary.logits, self.numbers.sharpening, detach=True)

    def compare(self, main: Tensor, auxiliary: Tensor, temperature: Tensor, embedded: Embedded) -> Tensor:
        """Symmetric cross entropy of the rows plus same-class alignment."""
        target = self.pool.class_covariances()
        alignment = [
            coral_distance(covariance(rows, embedded.valid), target).mean()
            for rows in (embedded.main, embedded.auxiliary)
        ]
        return symmetric_correlation_loss(main, auxiliary, temperature) + self.numbers.alignment_weight * 0.5 * (
            alignment[0] + alignment[1]
        )


def _places(chosen: Selection, patches: int, voxels: int) -> tuple[Tensor, Tensor]:
    """Patch and voxel of each chosen one, both [S C K]; a set is one patch or all of them in a row."""
    sets = chosen.indices.shape[0]
    first = torch.arange(sets, device=chosen.indices.device)[:, None, None] * (patches // sets)
    return (first + chosen.indices // voxels).flatten(), (chosen.indices % voxels).flatten()


def _padded(values: Tensor, length: int, dim: int) -> Tensor:
    """Values with zeros at the end of a dimension, for patches smaller than the pool."""
    missing = length - values.shape[dim]
    if missing <= 0:
        return values
    shape = list(values.shape)
    shape[dim] = missing
    return torch.cat([values, values.new_zeros(shape)], dim)
