"""What a finetuned detection model is made of, so that training and use build the same network."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.evaluation.instances import FoundInstances
from MaskWhatMattersLib.finetuning.windows import standardized, with_channels
from MaskWhatMattersLib.networks.encoders import EncoderConfig, make_encoder
from MaskWhatMattersLib.networks.mask2former import Mask2FormerNetwork

ARCHITECTURE = "finetuned-detection"
"""Of the model card."""


class DetectionNetworkConfig(BaseModel):
    """What builds the network; kept in `ModelCard.config`. There is one kind of object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: EncoderConfig
    queries: int = Field(20, ge=1, description="Most objects in an image.")
    query_features: int = Field(128, ge=32, multiple_of=32, description="Features of a query and of a pixel.")
    decoder_layers: int = Field(3, ge=1, description="Layers of the transformer decoder and of the pixel decoder.")


def make_detection_network(config: DetectionNetworkConfig) -> Mask2FormerNetwork:
    """Mask2Former on the encoder.

    Raises:
        InputError: The encoder has too few stages.
    """
    return Mask2FormerNetwork(
        make_encoder(config.encoder),
        classes=1,
        queries=config.queries,
        features=config.query_features,
        layers=config.decoder_layers,
    )


def find_instances(network: Mask2FormerNetwork, picture: Tensor, channels: int = 1) -> FoundInstances:
    """What every query says about one picture, the unsure ones, too.

    The score is the probability of being an object times the mean probability inside of the outline.

    Args:
        network: In eval mode.
        picture: Prepared grey values, uint8 [H, W] of any size, on the network's device.
        channels: That the network takes.
    """
    image = standardized(picture[None])
    height, width = picture.shape
    padded = functional.pad(image, (0, -width % network.divisor, 0, -height % network.divisor))
    answer = network(with_channels(padded, channels))[-1]
    enlarged = functional.interpolate(answer.masks, padded.shape[2:], mode="bilinear", align_corners=False)
    logits = enlarged[0, :, :height, :width]
    masks = logits > 0
    inside = (logits.sigmoid() * masks).flatten(1).sum(1) / masks.flatten(1).sum(1).clamp(min=1)
    scores = answer.classes[0].softmax(-1)[:, 0] * inside
    return FoundInstances(masks.cpu().numpy(), scores.double().cpu().numpy())
