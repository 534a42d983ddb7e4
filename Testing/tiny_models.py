"""Tiny models with random weights in the layout of the hub, for end-to-end tests without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_WORDS = ["left", "right", "lung", "brain", "tumor", "liver"]


def save_clipseg(folder: Path) -> Path:
    """CLIPSeg on pictures of 32 x 32 pixels."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    vision = {**_TEXT, "num_hidden_layers": 3, "image_size": 32, "patch_size": 8}
    text = {**_TEXT, "vocab_size": _clip_tokenizer(folder), "max_position_embeddings": 16, **_special_tokens()}
    config = CLIPSegConfig(
        vision_config=vision,
        text_config=text,
        projection_dim=16,
        extract_layers=[0, 1, 2],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
        use_complex_transposed_convolution=False,
    )
    return _save(CLIPSegForImageSegmentation(config), folder, {"size": {"height": 32, "width": 32}})


def save_owlv2(folder: Path, model_type: str = "owlv2") -> Path:
    """OWLv2 (or OWL-ViT) on squares of 32 pixels."""
    import transformers

    name = {"owlv2": "Owlv2", "owlvit": "OwlViT"}[model_type]
    vision = {**_TEXT, "image_size": 32, "patch_size": 8}
    text = {**_TEXT, "vocab_size": _clip_tokenizer(folder), "max_position_embeddings": 16, **_special_tokens()}
    config = getattr(transformers, f"{name}Config")(vision_config=vision, text_config=text, projection_dim=16)
    model = getattr(transformers, f"{name}ForObjectDetection")(config)
    return _save(model, folder, {"size": {"height": 32, "width": 32}})


def save_grounding_dino(folder: Path) -> Path:
    """Grounding DINO with a two-stage Swin backbone."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    backbone = SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 1, 1],
        window_size=2,
        out_features=["stage2", "stage3"],
    )
    text = {**_TEXT, "model_type": "bert", "vocab_size": _bert_tokenizer(folder), "max_position_embeddings": 64}
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=8,
        num_feature_levels=3,
        max_text_len=32,
    )
    size = {"shortest_edge": 32, "longest_edge": 48}
    return _save(GroundingDinoForObjectDetection(config), folder, {"size": size})


def save_sam(folder: Path) -> Path:
    """SAM on squares of 32 pixels."""
    from transformers import SamConfig, SamModel

    config = SamConfig(
        vision_config={
            **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16},
            **{"image_size": 32, "patch_size": 8, "output_channels": 16, "window_size": 2, "global_attn_indexes": [0]},
            "num_pos_feats": 8,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": 32, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={
            **{"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            **{"iou_head_hidden_dim": 16},
        },
    )
    return _save(SamModel(config), folder, {"size": {"longest_edge": 32}, "pad_size": {"height": 32, "width": 32}})


def save_sam2(folder: Path) -> Path:
    """SAM 2 on squares of 32 pixels."""
    from transformers import Sam2Config, Sam2Model

    return _save(Sam2Model(Sam2Config(**_sam2_parts(16))), folder, {"size": {"height": 32, "width": 32}})


def save_sam2_video(folder: Path) -> Path:
    """SAM 2 on squares of 32 pixels, with the memory that follows objects through a video."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    config = Sam2VideoConfig(
        **_sam2_parts(128),  # memories have 64 channels in transformers, and objects a multiple of it
        image_size=32,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=16,
        memory_attention_rope_feat_sizes=[2, 2],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=16,
    )
    model = Sam2VideoModel(config)
    decoder = model.mask_decoder
    decoder.pred_obj_score_head.proj_out.bias.data.fill_(1.0)  # there is always something
    for head in decoder.output_hypernetworks_mlps:  # with clear outlines
        head.proj_out.weight.data.mul_(5000.0)
    return _save(model, folder, {"size": {"height": 32, "width": 32}})


def _sam2_parts(hidden: int) -> dict[str, dict[str, Any]]:
    return {
        "vision_config": {
            "backbone_config": {
                **{"model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1},
                **{"image_size": [32, 32], "blocks_per_stage": [1, 1, 1, 1], "embed_dim_per_stage": [8, 16, 32, 64]},
                **{"num_attention_heads_per_stage": [1, 1, 1, 1], "window_size_per_stage": [2, 2, 2, 2]},
                **{"window_positional_embedding_background_size": [2, 2], "global_attention_blocks": [0]},
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[8, 8], [4, 4], [2, 2]],
            "fpn_hidden_size": hidden,
            "fpn_top_down_levels": [2, 3],
        },
        "prompt_encoder_config": {"hidden_size": hidden, "image_size": 32, "patch_size": 16, "mask_input_channels": 4},
        "mask_decoder_config": {
            **{"hidden_size": hidden, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            **{"iou_head_hidden_dim": 16},
        },
    }


def save_sam3(folder: Path) -> Path:
    """SAM 3 on squares of 56 pixels."""
    from transformers import Sam3Config, Sam3Model

    part = {"hidden_size": 32, "num_attention_heads": 2}
    text = {
        **{"model_type": "clip_text_model", **_TEXT, "projection_dim": 16, "max_position_embeddings": 32},
        **{"vocab_size": _clip_tokenizer(folder), **_special_tokens()},
    }
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                **{"model_type": "sam3_vit_model", **_TEXT, "image_size": 56, "patch_size": 14},
                **{"pretrain_image_size": 56, "window_size": 2, "global_attn_indexes": [1]},
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config=text,
        geometry_encoder_config={**part, "num_layers": 1, "intermediate_size": 16},
        detr_encoder_config={**part, "num_layers": 1, "intermediate_size": 16},
        detr_decoder_config={**part, "num_layers": 1, "intermediate_size": 16, "num_queries": 5},
        mask_decoder_config=part,
    )
    return _save(Sam3Model(config), folder, {"size": {"height": 56, "width": 56}})


def _save(model: Any, folder: Path, preprocessing: dict[str, Any]) -> Path:
    model.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def _special_tokens() -> dict[str, int]:
    return {"bos_token_id": 188, "eos_token_id": 189, "pad_token_id": 189}


def _clip_tokenizer(folder: Path) -> int:
    """A byte-level vocabulary of single letters; returns its size."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(33, 127)]
    # Number 0 must be an ordinary letter, as in CLIP: OWL takes a text that starts with 0 for an empty one.
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16)
    tokenizer.save_pretrained(folder)
    return len(tokens)


def _bert_tokenizer(folder: Path) -> int:
    """A vocabulary of a few words; returns its size."""
    from transformers import BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *_WORDS]
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)}, model_max_length=64)
    tokenizer.save_pretrained(folder)
    return len(tokens)
