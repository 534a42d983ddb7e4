"""A convolutional encoder as pretraining and finetuning know it: a stem and stages of blocks, one map per stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ResNetConfig


class ConvEncoder(nn.Module):
    """Images [B, C, *spatial] to feature maps.

    Attributes:
        config: What the encoder is made of.
        widths: Channels of the maps, from shallow to deep.
        strides: Voxels of the image per position of each map, the same along all axes.
        normalization: "batch" or "instance", of every convolution.
    """

    def __init__(
        self,
        config: ResNetConfig | ResidualEncoderConfig,
        stem: nn.Module,
        stages: Iterable[nn.Sequential],
        strides: Sequence[int],
        normalization: str,
    ) -> None:
        super().__init__()
        self.config = config
        self.widths = tuple(config.widths)
        self.strides = tuple(strides)
        self.normalization = normalization
        self.stem = stem
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """One map [B, width, *ceil(spatial / stride)] per stage, from shallow to deep; sides may be odd."""
        features, maps = self.stem(images), []
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps

    def layers(self) -> list[list[nn.Parameter]]:
        """Weights of the stem and of each residual block, from input to output, for layer-wise decay."""
        blocks = [block for stage in self.stages for block in stage.children()]
        return [list(part.parameters()) for part in (self.stem, *blocks)]
