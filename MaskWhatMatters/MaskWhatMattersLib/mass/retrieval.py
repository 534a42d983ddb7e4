"""Which examples of each label are most like what the query shows (object-level retrieval, Iris, arXiv 2503.19359)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

FROM_EXAMPLES = 4
"""With so many examples, the most alike ones are chosen unless the settings say otherwise."""

_MOST = 3


def mean_tokens(tokens: Sequence[Tensor], present: NDArray[np.bool_]) -> tuple[Tensor, ...]:
    """Tokens of each label, averaged over the examples that have it.

    Args:
        tokens: [R, K, T, C] per scale.
        present: Which example has which label, [R, K].

    Returns:
        [K, T, C] per scale.
    """
    return _averaged(tokens, torch.from_numpy(present.astype(np.float32)))


def retrieved_tokens(
    tokens: Sequence[Tensor], present: NDArray[np.bool_], query: Sequence[Tensor], found: NDArray[np.bool_]
) -> tuple[Tensor, ...]:
    """Tokens of each label, averaged over the three examples whose object is most like that of the query.

    Alike is the cosine of all tokens at the deepest scale, flattened. A label that was not found in the query gets the
    mean of all examples.

    Args:
        tokens: [R, K, T, C] per scale.
        present: Which example has which label, [R, K].
        query: Tokens of what a first look found in the query, [K, T, C] per scale.
        found: Labels that it found, [K].

    Returns:
        [K, T, C] per scale.
    """
    alike = functional.cosine_similarity(tokens[0].flatten(2), query[0].flatten(1)[None], dim=-1).cpu()
    known = torch.from_numpy(present.copy())
    alike = torch.where(known, alike, -torch.inf)
    chosen = torch.zeros_like(alike)
    chosen.scatter_(0, alike.topk(min(_MOST, len(alike)), dim=0).indices, 1.0)
    chosen = torch.where(torch.from_numpy(found.copy()), chosen, 1.0) * known
    return _averaged(tokens, chosen)


def _averaged(tokens: Sequence[Tensor], weights: Tensor) -> tuple[Tensor, ...]:
    """Means over examples with weights [R, K]."""
    shares = weights / weights.sum(0).clamp(min=1)
    return tuple(torch.einsum("rk,rktc->ktc", shares.to(scale), scale) for scale in tokens)
