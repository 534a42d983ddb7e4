"""ResNet-50 and its relatives as an encoder, from transformers (He et al. 2015, arXiv:1512.03385)."""

from __future__ import annotations

from typing import cast

from torch import nn
from transformers import ResNetBackbone
from transformers import ResNetConfig as BackboneConfig

from MaskWhatMattersLib.networks.conv_encoder import ConvEncoder
from MaskWhatMattersLib.networks.encoders import ResNetConfig


class ResNetEncoder(ConvEncoder):
    """Bottleneck ResNet with random weights on pictures [B, C, H, W]; maps at strides 4, 8, 16, 32."""

    def __init__(self, config: ResNetConfig) -> None:
        backbone = ResNetBackbone(
            BackboneConfig(
                num_channels=config.in_channels,
                embedding_size=config.stem,
                hidden_sizes=list(config.widths),
                depths=list(config.blocks),
                layer_type="bottleneck",
            )
        )
        stages = [cast(nn.Sequential, stage.layers) for stage in backbone.encoder.stages]
        strides = [2 ** (place + 2) for place in range(len(stages))]
        super().__init__(config, backbone.embedder, stages, strides, "batch")
