"""Slow, literal versions of every loss, in plain loops and float64, written from the formulas alone."""

from __future__ import annotations

import math

import numpy as np


def softmax(values):
    """Of one vector."""
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def voxels(logits):
    """Logits [B, C, *spatial] as a list of vectors, in the order of flattened labels."""
    array = np.moveaxis(np.asarray(logits, np.float64), 1, -1)
    return array.reshape(-1, array.shape[-1]).tolist()


def dice_loss(logits, labels, weight=None):
    """1 - 2 sum(p y) / (sum p + sum y), mean over the foreground classes."""
    rows, labels = voxels(logits), np.asarray(labels).ravel().tolist()
    weights = [1.0] * len(labels) if weight is None else np.asarray(weight, np.float64).ravel().tolist()
    losses = []
    for index in range(1, len(rows[0])):
        overlap = total = 0.0
        for row, label, w in zip(rows, labels, weights, strict=True):
            p, y = softmax(row)[index], float(label == index)
            overlap += w * p * y
            total += w * (p + y)
        losses.append(1 - (2 * overlap + 1e-8) / (total + 1e-8))
    return sum(losses) / len(losses)


def cross_entropy(logits, labels):
    """Mean of -log p(label)."""
    pairs = list(zip(voxels(logits), np.asarray(labels).ravel().tolist(), strict=True))
    return sum(-math.log(softmax(row)[label]) for row, label in pairs) / len(pairs)


def sharpened_consistency(main, auxiliary, temperature):
    """Mean over voxels and classes of (p - sharp(q))^2, both ways, summed."""
    total = count = 0.0
    for one, other in zip(voxels(main), voxels(auxiliary), strict=True):
        for p, q in zip(softmax(one), softmax(other), strict=True):
            for probability, target in ((p, q), (q, p)):
                power, rest = target ** (1 / temperature), (1 - target) ** (1 / temperature)
                total += (probability - power / (power + rest)) ** 2
            count += 1
    return total / count


def covariance(rows):
    """Of rows [N, d], with N - 1."""
    rows = np.asarray(rows, np.float64)
    count, size = rows.shape
    means = [sum(rows[:, a]) / count for a in range(size)]
    return np.array(
        [
            [sum((row[a] - means[a]) * (row[b] - means[b]) for row in rows) / (count - 1) for b in range(size)]
            for a in range(size)
        ]
    )


def shrunk(matrix, shrinkage):
    """(1 - s) matrix + s tr(matrix) / d identity."""
    size = len(matrix)
    trace = sum(matrix[a][a] for a in range(size))
    return np.array(
        [
            [(1 - shrinkage) * matrix[a][b] + (shrinkage * trace / size if a == b else 0.0) for b in range(size)]
            for a in range(size)
        ]
    )


def coral(one, other):
    """|one - other|_F^2 / (4 d^2)."""
    size = len(one)
    return sum((one[a][b] - other[a][b]) ** 2 for a in range(size) for b in range(size)) / (4 * size**2)


def released_correlation_loss(main, auxiliary):
    """-(1/k) sum_i auxiliary_i log softmax(main)_i over the entries that exist."""
    if not main:
        return 0.0
    return -sum(a * math.log(p) for a, p in zip(auxiliary, softmax(main), strict=True)) / len(main)


def correlation_loss(student, target, temperature):
    """Mean over rows of the cross entropy of softmax(-distance / temperature)."""
    losses = []
    for row, wanted in zip(np.asarray(student).tolist(), np.asarray(target).tolist(), strict=True):
        p, q = softmax([-x / temperature for x in row]), softmax([-x / temperature for x in wanted])
        losses.append(-sum(b * math.log(a) for a, b in zip(p, q, strict=True)))
    return sum(losses) / len(losses)


def most_and_least_confident(classes, confidence, wanted, most, least):
    """Positions of one class, sorted by confidence: the first ones and, of the others, the last ones."""
    positions = sorted(
        (at for at, found in enumerate(classes) if found == wanted), key=lambda at: -float(confidence[at])
    )
    head, tail = positions[:most], positions[most:]
    return set(head), set(tail[max(len(tail) - least, 0) :])
