"""The residual U-Net: its encoder, which is pretrained, and the decoder that makes it a segmenter, in 2D and 3D."""

from __future__ import annotations

import itertools

from monai.networks.blocks.convolutions import Convolution
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetOutBlock, UnetResBlock, UnetUpBlock, get_conv_layer
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.networks.conv_encoder import ConvEncoder
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig

_ACTIVATION = ("leakyrelu", {"inplace": True, "negative_slope": 0.01})
_NARROWEST = 16  # of the levels that an encoder with a coarse stem leaves to the decoder


class ResidualEncoder(ConvEncoder):
    """Residual encoder on images [B, C, *spatial] (Isensee et al. 2024, arXiv:2404.09556); maps at strides 1, 2, 4...

    Each stage but the first halves the resolution by the stride of its first block.
    """

    def __init__(self, config: ResidualEncoderConfig) -> None:
        norm, dims = _norm(config.normalization), config.spatial_dims
        stem = Convolution(
            dims, config.in_channels, config.widths[0], kernel_size=3, act=_ACTIVATION, norm=norm, bias=False
        )
        stages, inputs = [], config.widths[0]
        for place, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            blocks = [UnetResBlock(dims, inputs, width, 3, 2 if place else 1, norm, _ACTIVATION)]
            blocks += [UnetResBlock(dims, width, width, 3, 1, norm, _ACTIVATION) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = width
        strides = [2**place for place in range(len(stages))]
        super().__init__(config, stem, stages, strides, config.normalization)
        self.apply(DynUNet.initialize_weights)


class ResidualUNet(nn.Module):
    """Logits [B, classes, *spatial] of images of any size, by an encoder and a decoder with skip connections.

    Args:
        encoder: Any convolutional one; from the shallowest of its maps the decoder goes on alone to full resolution.
        classes: Logits per voxel, background included.
    """

    def __init__(self, encoder: ConvEncoder, classes: int) -> None:
        super().__init__()
        dims, norm = encoder.config.spatial_dims, _norm(encoder.normalization)
        self.encoder = encoder
        self.skips = nn.ModuleList(
            UnetUpBlock(dims, deep, shallow, 3, 1, 2, norm, _ACTIVATION)
            for shallow, deep in reversed(list(itertools.pairwise(encoder.widths)))
        )
        width, stride, steps = encoder.widths[0], encoder.strides[0], []
        while stride > 1:
            narrow = max(width // 2, min(width, _NARROWEST))
            up = get_conv_layer(dims, width, narrow, 2, 2, is_transposed=True)
            steps.append(nn.Sequential(up, UnetBasicBlock(dims, narrow, narrow, 3, 1, norm, _ACTIVATION)))
            width, stride = narrow, stride // 2
        self.steps = nn.Sequential(*steps)
        self.head = UnetOutBlock(dims, width, classes)
        for part in (self.skips, self.steps, self.head):
            part.apply(DynUNet.initialize_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Logits; images [B, C, *spatial] are extended by their last voxels to whole positions of the deepest map."""
        spatial = images.shape[2:]
        missing = [-side % self.encoder.strides[-1] for side in spatial]
        if any(missing):
            pads = [pad for side in reversed(missing) for pad in (0, side)]
            images = functional.pad(images, pads, mode="replicate")
        maps: list[Tensor] = self.encoder(images)
        features = maps.pop()
        for skip in self.skips:
            features = skip(features, maps.pop())
        logits: Tensor = self.head(self.steps(features))
        return logits[(slice(None), slice(None), *(slice(side) for side in spatial))]


def _norm(normalization: str) -> tuple[str, dict[str, bool]]:
    return normalization, {"affine": True}
