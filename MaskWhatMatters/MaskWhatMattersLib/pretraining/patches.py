"""What losses and methods need to go between images and tokens; it lives with the networks, which need it, too."""

from __future__ import annotations

from MaskWhatMattersLib.networks.patches import patch_size_of, patchify, unpatchify

__all__ = ["patch_size_of", "patchify", "unpatchify"]
