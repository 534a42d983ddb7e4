"""A small U-Net whose answer is chosen by a concept: one pass serves any number of prompts.

The decoder gives every pixel a feature vector; a concept is a learned vector of the same length, and the relevance of
a pixel is their inner product (as in CLIP-style dense prediction). A second inner product, with the pooled deepest
features, says whether the concept is in the image at all.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

ACTIVATION = ("LeakyReLU", {"negative_slope": 0.1, "inplace": True})


class ConceptUNetConfig(BaseModel):
    """Shape of a `ConceptUNet`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spatial_dims: int = Field(2, ge=2, le=3, description="2 for slices in context, 3 for volumes.")
    in_channels: int = Field(3, ge=1, description="Input channels; for slices: below, this, above.")
    widths: tuple[int, ...] = Field((32, 64, 128, 192, 192), min_length=2, description="Channels per level.")
    pixel_features: int = Field(24, ge=1, description="Length of a pixel's and a concept's vector.")
    concepts: tuple[str, ...] = Field(min_length=1, description="Names of the concepts, in the order of the weights.")
    modalities: tuple[str, ...] = Field(("CT", "MR", "XR"), description="Classes of the modality head.")

    @model_validator(mode="after")
    def widths_divide_into_groups(self) -> ConceptUNetConfig:
        """GroupNorm with 8 groups needs widths that are multiples of 8."""
        odd = [width for width in self.widths if width % 8]
        if odd:
            raise ValueError(f"widths must be multiples of 8 (group normalization); found {odd}. Round them up.")
        return self

    @property
    def divisor(self) -> int:
        """Side lengths of the input must be multiples of this."""
        return int(2 ** len(self.widths))


class ConceptLogits(NamedTuple):
    """What the network says before any activation.

    Attributes:
        pixels: [B, K, *spatial], one map per asked concept.
        presence: [B, K], evidence that the concept is in the image.
        modality: [B, M], which kind of image this is.
    """

    pixels: Tensor
    presence: Tensor
    modality: Tensor


class ConceptUNet(nn.Module):
    """Concept-conditioned U-Net on images [B, C, *spatial], 2D or 3D.

    The first level works at half resolution (space to depth) and the last step goes back (depth to space), which costs
    a third of a full-resolution U-Net on a CPU.
    """

    def __init__(self, config: ConceptUNetConfig) -> None:
        super().__init__()
        self.config = config
        dims, widths, fold = config.spatial_dims, config.widths, 2**config.spatial_dims
        norm = ("GROUP", {"num_groups": 8})
        self.stem = TwoConv(dims, config.in_channels * fold, widths[0], ACTIVATION, norm, bias=False)
        self.encoder = nn.ModuleList(
            Down(dims, shallow, deep, ACTIVATION, norm, bias=False) for shallow, deep in itertools.pairwise(widths)
        )
        self.decoder = nn.ModuleList(
            UpCat(
                dims,
                deep,
                shallow,
                shallow,
                ACTIVATION,
                norm,
                bias=False,
                upsample="nontrainable",
                pre_conv=None,
                align_corners=False,
            )
            for shallow, deep in reversed(list(itertools.pairwise(widths)))
        )
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        self.pixel_head = convolution(widths[0], config.pixel_features * fold, kernel_size=1)
        concepts = len(config.concepts)
        self.concept_vectors = nn.Parameter(torch.randn(concepts, config.pixel_features) * config.pixel_features**-0.5)
        # A small organ covers few pixels: starting at 2 % keeps the first steps from being about the background.
        self.concept_bias = nn.Parameter(torch.full((concepts,), -4.0))
        self.presence_head = nn.Linear(2 * widths[-1], concepts)
        self.modality_head = nn.Linear(2 * widths[-1], len(config.modalities))

    def forward(self, images: Tensor, concepts: Tensor | None = None) -> ConceptLogits:
        """Answer for some or all concepts.

        Args:
            images: [B, C, *spatial], intensities in 0..1; sides are multiples of `config.divisor`.
            concepts: Indices into `config.concepts`, [K]; None means all.

        Raises:
            ValueError: A side is not a multiple of the divisor.
        """
        sides = tuple(images.shape[2:])
        if any(side % self.config.divisor for side in sides):
            raise ValueError(
                f"Image sides must be multiples of {self.config.divisor}; found {sides}. Pad or resample the image."
            )
        features = [self.stem(space_to_depth(images))]
        for level in self.encoder:
            features.append(level(features[-1]))
        deepest = features.pop().flatten(2)
        pooled = torch.cat([deepest.mean(-1), deepest.amax(-1)], dim=1)
        pixels = deepest.unflatten(2, tuple(side // self.config.divisor for side in sides))
        for level in self.decoder:
            pixels = level(pixels, features.pop())
        pixels = depth_to_space(self.pixel_head(pixels), self.config.spatial_dims)
        chosen = slice(None) if concepts is None else concepts
        kernel = self.concept_vectors[chosen].reshape(-1, self.config.pixel_features, *[1] * self.config.spatial_dims)
        convolve = functional.conv2d if self.config.spatial_dims == 2 else functional.conv3d
        return ConceptLogits(
            pixels=convolve(pixels, kernel, self.concept_bias[chosen]),
            presence=self.presence_head(pooled)[:, chosen],
            modality=self.modality_head(pooled),
        )


def space_to_depth(images: Tensor) -> Tensor:
    """Fold 2x2(x2) neighbourhoods into channels, [B, C, *S] -> [B, C * 2^dims, *S / 2]."""
    for dim in range(2, images.ndim):
        images = torch.cat(images.unflatten(dim, (-1, 2)).unbind(dim + 1), dim=1)
    return images


def depth_to_space(features: Tensor, spatial_dims: int) -> Tensor:
    """Undo `space_to_depth`, [B, C * 2^dims, *S] -> [B, C, *2S]."""
    for dim in reversed(range(2, 2 + spatial_dims)):
        features = torch.stack(features.chunk(2, dim=1), dim=dim + 1).flatten(dim, dim + 1)
    return features
