"""Mask2Former on any 2D encoder: finds objects, each with its outline."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Mask2FormerConfig
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerLoss,
    Mask2FormerPixelDecoder,
    Mask2FormerPreTrainedModel,
    Mask2FormerTransformerModule,
)

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.training.step_losses import Losses

_LEVELS = 4
_GROUPS = 32  # of the pixel decoder's normalization
_HEADS = 8
_MOST_POINTS = 12544  # as published
_NAMES = {"loss_cross_entropy": "class_loss", "loss_mask": "mask_loss", "loss_dice": "dice_loss"}


class QueryLogits(NamedTuple):
    """What the queries say after one layer of the decoder.

    Attributes:
        classes: Logits of each class and, last, of no object, [B, Q, K + 1].
        masks: Logits of each pixel at the encoder's first used stride, [B, Q, h, w].
    """

    classes: Tensor
    masks: Tensor


class Mask2FormerHead(Mask2FormerPreTrainedModel):
    """Pixel and transformer decoder of `transformers` (Cheng et al. 2022, arXiv:2112.01527).

    Args:
        config: Settings.
        widths: Channels of the feature maps, from shallow to deep.
        classes: Kinds of objects.
    """

    def __init__(self, config: Mask2FormerConfig, widths: tuple[int, ...], classes: int) -> None:
        super().__init__(config)
        self.pixels = Mask2FormerPixelDecoder(config, list(widths))
        self.queries = Mask2FormerTransformerModule(config.feature_size, config)
        self.classes = nn.Linear(config.hidden_dim, classes + 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, maps: list[Tensor]) -> list[QueryLogits]:
        """Logits before the first and after each layer; the last ones count."""
        decoded = self.pixels(maps, output_hidden_states=False)
        answers = self.queries(
            multi_scale_features=decoded.multi_scale_features,
            mask_features=decoded.mask_features,
            output_hidden_states=True,
            output_attentions=False,
        )
        return [
            QueryLogits(self.classes(states.transpose(0, 1)), masks)
            for states, masks in zip(answers.intermediate_hidden_states, answers.masks_queries_logits, strict=True)
        ]


class Mask2FormerNetwork(nn.Module):
    """Encoder and head.

    A convolutional encoder gives its last four feature maps, or three where it has no more. A vision transformer has
    one resolution; maps at a quarter, half, once and twice the patch are made of its last one (Li et al. 2022,
    arXiv:2203.16527).

    Args:
        encoder: From `make_encoder`, for 2D.
        classes: Kinds of objects.
        queries: Most objects in an image.
        features: Of a query and of a pixel; a multiple of 32.
        layers: Of the transformer decoder, and of the pixel decoder.

    Raises:
        InputError: Features that are no multiple of 32, or an encoder with less than three maps.
    """

    def __init__(self, encoder: nn.Module, classes: int, *, queries: int, features: int, layers: int) -> None:
        super().__init__()
        if features % _GROUPS:
            raise InputError(f"query_features must be a multiple of {_GROUPS}; found {features}. Use 128.")
        self.encoder = encoder
        self.pyramid: Pyramid | LastMaps = Pyramid(encoder) if hasattr(encoder, "features") else LastMaps(encoder)
        self.divisor = self.pyramid.strides[-1]
        config = settings(classes, queries, features, layers, self.pyramid.strides)
        self.head = Mask2FormerHead(config, self.pyramid.widths, classes)

    def forward(self, images: Tensor) -> list[QueryLogits]:
        """What the queries say after each layer; pictures [B, C, H, W] of whole tokens."""
        maps = self.pyramid(self.encoder, images)
        # Sampling at fractions of a pixel and matching are not for half precision.
        with torch.autocast(images.device.type, enabled=False):
            logits: list[QueryLogits] = self.head([each.float() for each in maps])
        return logits


class LastMaps(nn.Module):
    """The last feature maps of a convolutional encoder; nothing that learns."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        widths: tuple[int, ...] = encoder.widths  # type: ignore[assignment]
        strides: tuple[int, ...] = encoder.strides  # type: ignore[assignment]
        if len(widths) < _LEVELS - 1:
            raise InputError(
                f"Detection needs an encoder with three stages or more; found {len(widths)}. Choose a deeper one."
            )
        self.widths, self.strides = widths[-_LEVELS:], strides[-_LEVELS:]

    def forward(self, encoder: nn.Module, images: Tensor) -> list[Tensor]:
        """Maps from shallow to deep."""
        maps: list[Tensor] = encoder(images)[-_LEVELS:]
        return maps


class Pyramid(nn.Module):
    """Four maps of the last one of a vision transformer."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        config = encoder.config
        width, patch = int(config.width), int(max(config.patch_size))  # type: ignore[union-attr, arg-type]
        half, quarter = max(8, width // 2), max(8, width // 4)
        self.widths = (quarter, half, width, width)
        self.strides = tuple(max(1, patch * 2**level // 4) for level in range(_LEVELS))
        self.twice = nn.ConvTranspose2d(width, half, 2, stride=2)
        self.four_times = nn.Sequential(
            nn.ConvTranspose2d(width, half, 2, stride=2), nn.GELU(), nn.ConvTranspose2d(half, quarter, 2, stride=2)
        )

    def forward(self, encoder: nn.Module, images: Tensor) -> list[Tensor]:
        """Maps from shallow to deep."""
        last: Tensor = encoder.features(images)[-1]  # type: ignore[operator]
        coarse = functional.max_pool2d(last, 2, ceil_mode=True)
        return [self.four_times(last), self.twice(last), last, coarse]


def settings(classes: int, queries: int, features: int, layers: int, strides: tuple[int, ...]) -> Mask2FormerConfig:
    """Settings in the words of `transformers`, whose `decoder_layers` counts the prediction before the first one."""
    config = Mask2FormerConfig(
        num_queries=queries,
        feature_size=features,
        mask_feature_size=features,
        hidden_dim=features,
        encoder_feedforward_dim=4 * features,
        dim_feedforward=8 * features,
        encoder_layers=layers,
        decoder_layers=layers + 1,
        num_attention_heads=_HEADS,
        feature_strides=list(strides),
        common_stride=strides[0],
    )
    config.num_labels = classes
    return config


class SetLoss:
    """Each object is matched to one query, which is to say its class and outline; the others are to say "nothing".

    The published loss (arXiv:2112.01527, section 3.3), with the queries of every layer. Matching needs the processor,
    so that the host waits for the device once per image and layer.

    Args:
        network: Whose answers are judged.
        size: Of the pictures, which bounds the points at which outlines are compared.
    """

    def __init__(self, network: Mask2FormerNetwork, size: tuple[int, ...]) -> None:
        config = network.head.config
        stride = network.pyramid.strides[0]
        config.train_num_points = max(64, min(_MOST_POINTS, math.prod(side // stride for side in size)))
        self._weights = {
            "loss_cross_entropy": config.class_weight,
            "loss_mask": config.mask_weight,
            "loss_dice": config.dice_weight,
        }
        self._criterion = Mask2FormerLoss(config, self._weights).to(next(network.parameters()).device)

    def __call__(self, answers: list[QueryLogits], masks: list[Tensor], classes: list[Tensor]) -> Losses:
        """Losses of a batch; the parts are those of the last layer.

        Args:
            answers: Of every layer.
            masks: Outlines of the objects of each image, float [n, H, W] of 0 and 1; n may be 0.
            classes: Of the objects of each image, long [n].
        """
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=answers[0].classes.device)
        with torch.autocast(total.device.type, enabled=False):
            for answer in answers:
                found = self._criterion(answer.masks, answer.classes, masks, classes)
                parts = {_NAMES[name]: loss.detach() for name, loss in found.items()}
                total = total + sum(self._weights[name] * loss for name, loss in found.items())
        return Losses(total, parts)
