"""The encoders that are pretrained and finetuned: what each is made of, and the one way to make it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURE = "encoder"
"""Of the model card of an encoder; its `config` is that of the encoder."""


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    spatial_dims: Literal[2, 3] = Field(3, description="2 for pictures and slices, 3 for volumes.")
    in_channels: int = Field(1, ge=1, description="Channels of an image.")


class ViTConfig(_Config):
    """A vision transformer (arXiv:2010.11929) on patches of any size; the defaults are ViT-B at 96^3."""

    kind: Literal["vit"] = "vit"
    image_size: tuple[int, ...] = Field((96, 96, 96), description="Voxels along the spatial axes; whole patches.")
    patch_size: tuple[int, ...] = Field((16, 16, 16), description="Voxels of a token along the spatial axes.")
    width: int = Field(768, ge=4, description="Features of a token.")
    depth: int = Field(12, ge=1, description="Transformer blocks.")
    heads: int = Field(12, ge=1, description="Attention heads; divide the width.")
    mlp_ratio: float = Field(4.0, gt=0, description="Width of the hidden layer of a block, in widths.")
    position: Literal["learned", "sincos"] = Field("sincos", description="Position embedding.")
    drop_path: float = Field(0.0, ge=0, lt=1, description="Largest rate of stochastic depth; grows with the block.")

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        for name in ("image_size", "patch_size"):
            if len(getattr(self, name)) != self.spatial_dims:
                raise ValueError(f"{name} needs {self.spatial_dims} numbers; found {list(getattr(self, name))}")
        if any(side % patch for side, patch in zip(self.image_size, self.patch_size, strict=True)):
            raise ValueError(
                f"image_size must be whole patches; found {list(self.image_size)} with {list(self.patch_size)}"
            )
        if self.width % self.heads:
            raise ValueError(f"heads must divide the width; found {self.heads} and {self.width}")
        return self

    @property
    def grid(self) -> tuple[int, ...]:
        """Tokens along the spatial axes."""
        return tuple(side // patch for side, patch in zip(self.image_size, self.patch_size, strict=True))

    @property
    def tokens(self) -> int:
        """Tokens of an image."""
        return math.prod(self.grid)


class ResNetConfig(_Config):
    """A bottleneck ResNet (arXiv:1512.03385) in 2D; the defaults are ResNet-50, the encoder of Mask What Matters."""

    kind: Literal["resnet"] = "resnet"
    spatial_dims: Literal[2] = Field(2, description="Pictures and slices only.")
    widths: tuple[int, ...] = Field((256, 512, 1024, 2048), min_length=1, description="Channels per stage.")
    blocks: tuple[int, ...] = Field((3, 4, 6, 3), min_length=1, description="Blocks per stage.")
    stem: int = Field(64, ge=1, description="Channels of the stem, which works at a quarter of the resolution.")

    @model_validator(mode="after")
    def _one_number_per_stage(self) -> Self:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"widths and blocks need one number per stage; found {self.widths} and {self.blocks}")
        return self

    @property
    def patch_size(self) -> tuple[int, ...]:
        """A token is one position of the deepest map."""
        return (2 ** (len(self.widths) + 1),) * self.spatial_dims


class ResidualEncoderConfig(_Config):
    """The encoder of a residual U-Net (arXiv:2404.09556) in 2D or 3D; the defaults are of the size of ResEnc-L."""

    kind: Literal["residual"] = "residual"
    widths: tuple[int, ...] = Field((32, 64, 128, 256, 320, 320), min_length=2, description="Channels per stage.")
    blocks: tuple[int, ...] = Field((1, 3, 4, 6, 6, 6), min_length=2, description="Residual blocks per stage.")
    normalization: Literal["instance", "batch"] = Field("instance", description="Of every convolution.")

    @model_validator(mode="after")
    def _one_number_per_stage(self) -> Self:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"widths and blocks need one number per stage; found {self.widths} and {self.blocks}")
        return self

    @property
    def patch_size(self) -> tuple[int, ...]:
        """A token is one position of the deepest map; the first stage keeps the resolution, each other halves it."""
        return (2 ** (len(self.widths) - 1),) * self.spatial_dims


EncoderConfig = Annotated[ViTConfig | ResNetConfig | ResidualEncoderConfig, Field(discriminator="kind")]
ENCODER_CONFIG: TypeAdapter[Any] = TypeAdapter(EncoderConfig)
"""Reads the config of a model card: `ENCODER_CONFIG.validate_python(card.config)`."""


def make_encoder(config: EncoderConfig) -> nn.Module:
    """A new encoder with random weights: a `ViTEncoder` or a `ConvEncoder`, both with `config`."""
    if isinstance(config, ViTConfig):
        from MaskWhatMattersLib.networks.vit import ViTEncoder

        return ViTEncoder(config)
    if isinstance(config, ResNetConfig):
        from MaskWhatMattersLib.networks.resnet import ResNetEncoder

        return ResNetEncoder(config)
    from MaskWhatMattersLib.networks.residual_unet import ResidualEncoder

    return ResidualEncoder(config)
