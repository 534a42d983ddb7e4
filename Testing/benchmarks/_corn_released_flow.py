"""The data flow of the released CORN code, rebuilt from its description, as the slow side of `corn_speed.py`.

Every agreed voxel is projected, embeddings of labelled voxels go to host arrays per scan, the pool is concatenated on
the host in every step, confidence is sorted in full, and consistency is computed from probabilities. Losses are those
of mode `code`; the weights of the heads are shared with it, so both sides do the same work on the same numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from MaskWhatMattersLib.corn.corn_objective import CodeObjective
from MaskWhatMattersLib.training.step_losses import Losses


class ReleasedFlow:
    """Losses of one step after another, with a pool of host arrays."""

    def __init__(self, objective: CodeObjective) -> None:
        self.numbers, self.ramp, self.classes = objective.numbers, objective.ramp, objective.classes
        self.heads = (objective.main_heads, objective.auxiliary_heads)
        self.pool: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # scan: embeddings [M, d], classes [M]
        self.random = np.random.default_rng(0)

    def losses(self, output, batch, step) -> Losses:
        """Total and parts, as `Objective.losses` gives them."""
        probabilities = [branch.logits.float().softmax(1) for branch in output]
        supervised = sum(self._dice(p[: batch.labelled, 1], batch.labels) for p in probabilities)
        cross = self._consistency(*probabilities)
        classes = [p.argmax(1) for p in probabilities]
        rows = [branch.dropped.movedim(1, -1) for branch in output]
        self._fill_pool(rows, classes, batch)
        correlation = self._correlation(rows, classes, probabilities[0], batch)
        ramp, numbers = self.ramp(step), self.numbers
        total = numbers.supervised_weight * supervised + ramp * (
            numbers.cross_weight * cross + numbers.correlation_weight * correlation
        )
        parts = {"supervised": supervised, "cross": cross, "correlation": correlation}
        return Losses(total, {name: torch.as_tensor(part).detach() for name, part in parts.items()})

    def _dice(self, foreground, labels):
        truth = (labels == 1).float()
        overlap = (foreground * truth).sum()
        return 1 - (2 * overlap + 1e-8) / (foreground.sum() + truth.sum() + 1e-8)

    def _consistency(self, main, auxiliary):
        # The released code keeps these sums in tensors on the CPU, whatever the device of the networks.
        errors = torch.zeros(2, 2)
        both = (main, auxiliary)
        for i in range(2):
            for j in range(2):
                if i != j:
                    errors[i, j] = functional.mse_loss(both[i], self._sharpened(both[j]))
        return errors.sum().to(main.device)

    def _sharpened(self, probability):
        power = 1 / self.numbers.sharpening
        raised, rest = probability**power, (1 - probability) ** power
        return raised / (raised + rest)

    @torch.no_grad()
    def _fill_pool(self, rows, classes, batch) -> None:
        correct = (classes[0][: batch.labelled] == batch.labels) & (classes[1][: batch.labelled] == batch.labels)
        for index, scan in enumerate(batch.scan_ids[: batch.labelled].tolist()):
            embedded = sum(
                heads.project(part[index][correct[index]]) for heads, part in zip(self.heads, rows, strict=True)
            )
            self.pool[scan] = (
                (embedded / 2).cpu().numpy(),
                batch.labels[index][correct[index]].cpu().numpy(),
            )

    def _correlation(self, rows, classes, probability, batch):
        agreed = classes[0][batch.labelled :] == classes[1][batch.labelled :]
        found = classes[0][batch.labelled :][agreed]
        confidence = probability[batch.labelled :].max(1).values[agreed].detach()
        embedded = [heads(part[batch.labelled :][agreed]) for heads, part in zip(self.heads, rows, strict=True)]
        features = np.concatenate([entry[0] for entry in self.pool.values()])
        truth = np.concatenate([entry[1] for entry in self.pool.values()])
        distances = [[], []]
        half = self.numbers.unlabelled_rows // 2
        for predicted in range(self.classes):
            mine = (found == predicted).nonzero()[:, 0]
            order = mine[confidence[mine].sort(descending=True).indices]
            chosen = torch.cat([order[:half], order[half:][-half:]])
            for known in range(self.classes):
                candidates = np.flatnonzero(truth == known)
                if len(candidates) < self.numbers.anchor_rows or len(chosen) < 2:
                    continue
                drawn = self.random.permutation(candidates)[: self.numbers.anchor_rows]
                anchors = torch.from_numpy(features[drawn]).to(found.device)
                for values, part in zip(distances, embedded, strict=True):
                    values.append(self._coral(part[chosen], anchors))
        if not distances[0]:
            return 0 * (embedded[0].sum() + embedded[1].sum())
        main, auxiliary = (torch.stack(values) for values in distances)
        return -(auxiliary * main.log_softmax(0)).sum() / len(main)

    def _coral(self, rows, anchors):
        return (rows.T.cov() - anchors.T.cov()).square().sum() / (4 * rows.shape[1] ** 2)
