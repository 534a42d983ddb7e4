"""What a method of pretraining is given, and what it shows for the eye."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class MaskedBatch(NamedTuple):
    """Images, and what of them the encoder may not see.

    Attributes:
        images: z-scored intensity, float32 [B, C, *spatial].
        hidden: True for tokens that the encoder does not see, bool [B, *grid].
        valid: False for padded, de-faced and other empty voxels, which no loss counts, bool [B, *spatial].
    """

    images: Tensor
    hidden: Tensor
    valid: Tensor


class ViewsBatch(NamedTuple):
    """Two views of the same images, changed independently, for contrastive learning.

    Attributes:
        first: z-scored intensity, float32 [B, C, *spatial].
        second: As `first`; row b shows the same image.
    """

    first: Tensor
    second: Tensor


class Reconstruction(NamedTuple):
    """For the eye; images are z-scored intensity, float32 [B, C, *spatial].

    Attributes:
        original: The images.
        masked: The images with hidden tokens at the images' lowest value.
        reconstructed: Visible tokens as they are, hidden ones as the decoder thinks they are.
        hidden: True for tokens that the encoder did not see, bool [B, *grid].
    """

    original: Tensor
    masked: Tensor
    reconstructed: Tensor
    hidden: Tensor
