"""Names and shapes of the tensors of the released MASS weights, of any width, for tests without the file."""

from __future__ import annotations

from collections.abc import Iterator

Shapes = dict[str, tuple[int, ...]]


def official_shapes(width: int = 32, window: int = 128, queries: int = 10, slots: int = 73) -> Shapes:
    """572 tensors; the defaults are those of mass_base.pth."""
    scales = (16 * width, 8 * width, 4 * width)
    shapes: Shapes = {f"task_prior_{i}": (slots, queries + 1, wide) for i, wide in enumerate(scales)}
    shapes["encoder.inc.conv1.weight"] = (width, 1, 3, 3, 3)
    shapes |= dict(_block("encoder.inc.conv2", width, width))
    for stage in range(1, 5):
        given, wide = width * 2 ** (stage - 1), width * 2**stage
        shapes |= dict(_block(f"encoder.down{stage}.conv.1", given, wide))
        shapes |= dict(_block(f"encoder.down{stage}.conv.2", wide, wide))
        wide = width * 2 ** (4 - stage)
        shapes |= dict(_block(f"decoder.up{stage}.conv.0", 3 * wide, wide))
        shapes |= dict(_block(f"decoder.up{stage}.conv.1", wide, wide))
    for scale, wide in enumerate(scales):
        for layer in range(2):
            prefix = f"decoder.prior_fuse.{scale}.attn_layers.{layer}."
            shapes |= dict(_attention(prefix + "prior_aggregate_block", wide, "norm1", "norm2"))
            shapes |= dict(_attention(prefix + "feat_aggregate_block", wide, "norm1", "norm2"))
            shapes |= dict(_attention(prefix + "prior_attn_block", wide, "norm"))
            for name in ("prior_ffn", "feat_ffn", "prior_ffn_2"):
                shapes |= dict(_feed_forward(prefix + name, wide))
            prefix = f"task_embedding.{scale}.attn_layers.{layer}."
            shapes |= dict(_attention(prefix + "query_aggregate_block", wide, "norm1", "norm2"))
            for name in ("query_attn_block_1", "query_attn_block_2"):
                shapes |= dict(_attention(prefix + name, wide, "norm"))
            for name in ("query_ffn_1", "query_aggregate_ffn", "query_ffn_2"):
                shapes |= dict(_feed_forward(prefix + name, wide))
        prefix = f"task_embedding.{scale}."
        shapes[prefix + "task_query"] = (queries, wide)
        for name in ("foreground", "query", "combined", "post"):
            shapes |= dict(_with_bias(f"{prefix}norm_{name}", wide))
        fine = (16 // 2**scale) ** 3
        shapes |= dict(_with_bias(prefix + "expand.2", fine, wide, 1, 1, 1))
        shapes |= dict(_with_bias(prefix + "merge.2", 1, 2, 3, 3, 3))
        shapes |= dict(_with_bias(prefix + "squeeze.2", wide, fine, 1, 1, 1))
        shapes[prefix + "pos_embed.embedding"] = (1, 1, window, window, window)
    shapes |= dict(_with_bias("out.norm", sum(scales)))
    for part, given in enumerate((sum(scales), width)):
        shapes |= dict(_with_bias(f"out.classifier_pred.{part}.fc1", given, given))
        shapes |= dict(_with_bias(f"out.classifier_pred.{part}.fc2", width, given))
    return shapes


def _with_bias(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _block(name: str, given: int, wide: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.conv1.conv.weight", (wide, given, 3, 3, 3)
    yield f"{name}.conv2.conv.weight", (wide, wide, 3, 3, 3)
    if given != wide:
        yield f"{name}.shortcut.conv.weight", (wide, given, 3, 3, 3)


def _attention(name: str, wide: int, *norms: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for norm in norms:
        yield from _with_bias(f"{name}.{norm}", wide)
    yield f"{name}.fn.mha.in_proj_weight", (3 * wide, wide)
    yield f"{name}.fn.mha.in_proj_bias", (3 * wide,)
    yield from _with_bias(f"{name}.fn.mha.out_proj", wide, wide)


def _feed_forward(name: str, wide: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _with_bias(f"{name}.norm", wide)
    yield from _with_bias(f"{name}.fn.fc1", 4 * wide, wide)
    yield from _with_bias(f"{name}.fn.fc2", wide, 4 * wide)
