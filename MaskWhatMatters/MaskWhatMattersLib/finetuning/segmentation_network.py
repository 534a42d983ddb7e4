"""What a finetuned segmentation model is made of, so that training and prediction build the same network."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from MaskWhatMattersLib.networks.encoders import EncoderConfig, make_encoder

ARCHITECTURE = "finetuned-segmentation"
"""Of the model card."""


class SegmentationNetworkConfig(BaseModel):
    """What builds the network; kept in `ModelCard.config`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: EncoderConfig
    values: tuple[int, ...] = Field(min_length=2, description="Value in the label map of each class; the first is 0.")
    features: int = Field(16, ge=1, description="Channels at full resolution, on a vision transformer.")


def make_segmentation_network(config: SegmentationNetworkConfig) -> nn.Module:
    """UNETR on a vision transformer, a residual U-Net on a convolutional encoder; both have `encoder`.

    The network takes [B, C, *spatial] and gives logits [B, len(values), *spatial].
    """
    encoder = make_encoder(config.encoder)
    if config.encoder.kind == "vit":
        from MaskWhatMattersLib.networks.unetr import UNETR

        return UNETR(encoder, len(config.values), config.features)  # type: ignore[arg-type]
    from MaskWhatMattersLib.networks.residual_unet import ResidualUNet

    return ResidualUNet(encoder, len(config.values))  # type: ignore[arg-type]
