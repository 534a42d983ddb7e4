"""The pair of networks behind CORN: two V-Nets that differ in how their decoders go up."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from MaskWhatMattersLib.networks.vnet import Normalization, Upsampling, VNet, VNetConfig, VNetOutput

ARCHITECTURE = "corn-vnet-pair"
"""`ModelCard.architecture` of a file that holds a `CornNetwork`."""


class CornNetworkConfig(BaseModel):
    """Shape of a `CornNetwork`; the defaults are the setting of the paper, 19.73 M parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spatial_dims: int = Field(3, ge=2, le=3, description="2 for images, 3 for volumes.")
    in_channels: int = Field(1, ge=1, description="Values per voxel.")
    classes: int = Field(2, ge=2, description="Logits per voxel, background included.")
    width: int = Field(16, ge=1, description="Channels at full resolution; doubled at every level.")
    depth: int = Field(5, ge=2, description="Levels of resolution.")
    normalization: Normalization = Field("batch", description="After every convolution.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Of whole channels, at the deepest and the last features.")

    def branch(self, upsampling: Upsampling) -> VNetConfig:
        """Shape of one of the two V-Nets."""
        return VNetConfig(**self.model_dump(), upsampling=upsampling)

    @property
    def divisor(self) -> int:
        """Side lengths of the input must be multiples of this."""
        return self.branch("transposed").divisor


class CornOutput(NamedTuple):
    """What both branches say about a batch.

    Attributes:
        main: Of the branch with transposed convolutions.
        auxiliary: Of the branch with trilinear upsampling.
    """

    main: VNetOutput
    auxiliary: VNetOutput


class CornNetwork(nn.Module):
    """Two complete, unshared V-Nets on images [B, C, *spatial] (arXiv:2410.15916, Fig. 2)."""

    def __init__(self, config: CornNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.main = VNet(config.branch("transposed"))
        self.auxiliary = VNet(config.branch("trilinear"))

    def forward(self, images: Tensor) -> CornOutput:
        """Logits and features of both branches.

        Raises:
            ValueError: A side is not a multiple of `config.divisor`.
        """
        return CornOutput(self.main(images), self.auxiliary(images))
