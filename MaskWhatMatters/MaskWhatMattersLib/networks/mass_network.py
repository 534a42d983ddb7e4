"""The network of MASS, which is that of Iris: it segments a query as one or more masks of a reference say.

Sizes and the order of all layers are those of the released weights (arXiv:2603.13660; Iris: arXiv:2503.19359).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.networks.mass_config import MassNetworkConfig
from MaskWhatMattersLib.networks.preactivation import ResidualBlock
from MaskWhatMattersLib.networks.task_encoder import TaskEncoder
from MaskWhatMattersLib.networks.token_attention import Perceptron
from MaskWhatMattersLib.networks.token_fusion import TokenFusion

_STRIDES = (16, 8, 4)
"""Of the scales that have tokens."""


class MassNetwork(nn.Module):
    """In-context segmentation of any number of labels at once.

    Attributes:
        config: Its size.
        divisor: Sides of images must be multiples of it.
    """

    divisor = 16

    def __init__(self, config: MassNetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = [stride * config.width for stride in _STRIDES]
        self.encoder = _Encoder(config.width)
        self.task_encoders = nn.ModuleList(
            TaskEncoder(config, wide, stride) for wide, stride in zip(channels, _STRIDES, strict=True)
        )
        self.decoder = _Decoder(config, channels)
        self.classifier = _Classifier(sum(channels), config.width)
        for scale, wide in enumerate(channels if config.memory_slots else ()):
            self.register_buffer(f"memory_{scale}", torch.zeros(config.memory_slots, config.queries + 1, wide))

    def encode_image(self, images: Tensor) -> list[Tensor]:
        """Five maps, deepest first: [B, 16w, D/16, H/16, W/16] to [B, w, D, H, W], of images [B, 1, D, H, W].

        Raises:
            InputError: A side is not a multiple of 16.
        """
        self._check_sides(images)
        maps: list[Tensor] = self.encoder(images)
        return maps

    def encode_task(self, features: Sequence[Tensor], masks: Tensor) -> list[Tensor]:
        """Tokens of each label, [B, K, T, C] per scale, deepest first.

        Args:
            features: From `encode_image` of the reference.
            masks: 0 or 1, [B, K, D, H, W].

        Raises:
            InputError: A side is larger than the window or no multiple of 16, or masks do not lie on the reference.
        """
        self._check_sides(masks)
        if masks.shape[2:] != features[-1].shape[2:]:
            raise InputError(
                f"Masks lie on the reference's voxels; found masks of {_sides(masks)} for a reference of "
                f"{_sides(features[-1])}. Cut both alike."
            )
        if max(masks.shape[2:]) > self.config.window:
            raise InputError(
                f"This network takes references of up to {self.config.window} voxels along each axis; found "
                f"{_sides(masks)}. Cut out the part around the mask."
            )
        return [encoder(maps, masks) for encoder, maps in zip(self.task_encoders, features, strict=False)]

    def decode(self, features: Sequence[Tensor], tokens: Sequence[Tensor]) -> Tensor:
        """Logits [B, K, D, H, W] of each label by itself; labels may overlap.

        Args:
            features: From `encode_image` of the query.
            tokens: From `encode_task`, also averaged over references: [B, K, T, C] per scale, or [1, K, T, C] for
                the same task in all images.
        """
        maps, fused = self.decoder(features, tokens)
        weights: Tensor = self.classifier(fused)
        # In float32: the gradient of a bfloat16 product over all voxels ends the process on some processors
        # (torch 2.13).
        with torch.autocast(maps.device.type, enabled=False):
            logits: Tensor = weights.float() @ maps.flatten(2).float()
        return logits.reshape(*logits.shape[:2], *maps.shape[2:])

    def forward(self, query: Tensor, reference: Tensor, masks: Tensor) -> Tensor:
        """Logits [B, K, D, H, W] of a query [B, 1, D, H, W].

        Args:
            query: z-scored grey values.
            reference: Likewise, of any size up to the window.
            masks: 0 or 1, on the reference, [B, K, ...].
        """
        tokens = self.encode_task(self.encode_image(reference), masks)
        return self.decode(self.encode_image(query), tokens)

    def dense_features(self, images: Tensor) -> Tensor:
        """One vector per voxel, [B, w, D, H, W]: the last maps of the decoder for the task "everything"."""
        features = self.encode_image(images)
        maps: Tensor = self.decoder(features, self.encode_task(features, torch.ones_like(images)))[0]
        return maps

    def _check_sides(self, images: Tensor) -> None:
        if any(side % self.divisor for side in images.shape[2:]):
            raise InputError(
                f"Sides must be multiples of {self.divisor} voxels; found {_sides(images)}. Pad the image."
            )


def place(network: MassNetwork, device: torch.device | str) -> MassNetwork:
    """Move a network to a device; on a processor, channels come last in memory, which is about twice as fast."""
    on_processor = torch.device(device).type == "cpu"
    layout = torch.channels_last_3d if on_processor else torch.contiguous_format
    moved: MassNetwork = network.to(device).to(memory_format=layout)  # type: ignore[call-overload]
    return moved


class _Encoder(nn.Module):
    """Residual U-Net encoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, width, kernel_size=3, padding=1, bias=False)
        self.first = ResidualBlock(width, width)
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(wide, 2 * wide), ResidualBlock(2 * wide, 2 * wide))
            for wide in (width, 2 * width, 4 * width, 8 * width)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [self.first(self.stem(images))]
        for stage in self.stages:
            maps.append(stage(functional.max_pool3d(maps[-1], 2)))
        return maps[::-1]


class _Decoder(nn.Module):
    """Residual U-Net decoder; tokens are fused at its three coarse scales."""

    def __init__(self, config: MassNetworkConfig, channels: Sequence[int]) -> None:
        super().__init__()
        self.fusions = nn.ModuleList(TokenFusion(wide, config.head_width, config.blocks) for wide in channels)
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(3 * wide, wide), ResidualBlock(wide, wide))
            for wide in (8 * config.width, 4 * config.width, 2 * config.width, config.width)
        )

    def forward(self, features: Sequence[Tensor], tokens: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Maps at full resolution, and the tokens after fusion."""
        maps, fused = features[0], []
        for scale, stage in enumerate(self.stages):
            if scale < len(self.fusions):
                given = tokens[scale].expand(len(maps), -1, -1, -1)
                maps, known = self.fusions[scale](maps, given)
                fused.append(known)
            skip = features[scale + 1]
            maps = stage(torch.cat([skip, _enlarge(maps, skip)], dim=1))
        return maps, fused


class _Classifier(nn.Module):
    """One weight vector per label, from the first token of each scale."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(given)
        self.first = Perceptron(given, given, width)
        self.second = Perceptron(width, width, width)

    def forward(self, tokens: Sequence[Tensor]) -> Tensor:
        """Weights [B, K, w] of tokens [B, K, T, C] per scale."""
        firsts = torch.cat([scale[:, :, 0] for scale in tokens], dim=-1)
        weights: Tensor = self.second(self.first(self.norm(firsts)))
        return weights


def _enlarge(maps: Tensor, like: Tensor) -> Tensor:
    """Trilinear with aligned corners, in float32, to the size of another map."""
    enlarged = functional.interpolate(maps.float(), like.shape[2:], mode="trilinear", align_corners=True)
    return enlarged.to(like.dtype)


def _sides(images: Tensor) -> str:
    return " x ".join(str(side) for side in images.shape[2:])
