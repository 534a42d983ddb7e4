"""The two passes of a MASS network that inference is made of, without gradients and in the wanted precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.networks.mass_network import MassNetwork
from MaskWhatMattersLib.networks.task_encoder import TaskEncoder

Predictor = Callable[[Tensor], Tensor]
"""Images [B, 1, D, H, W] to probabilities [B, K, D, H, W]."""

_PASS_VALUES = 2**27  # of a map at full resolution, all windows of a pass together: 0.5 GB
_MOST_WINDOWS = 8


class MassPasses:
    """Examples to tokens, and with tokens scans to probabilities.

    Attributes:
        device: Of the network.
        window: Side of a window, voxels.
        batch: Windows that a pass takes at once.
    """

    def __init__(self, network: MassNetwork, *, bf16: bool = False) -> None:
        self._network = network
        self._bf16 = bf16
        self.device = next(network.parameters()).device
        self.window = network.config.window
        fitting = _PASS_VALUES // (network.config.width * self.window**3)
        self.batch = 1 if self.device.type == "cpu" else max(1, min(_MOST_WINDOWS, fitting))

    @torch.inference_mode()
    def tokens(self, image: NDArray[np.floating[Any]], masks: NDArray[np.uint8]) -> tuple[Tensor, ...]:
        """Tokens, float32 [K, T, C] per scale, of a crop [D, H, W] and its masks [K, D, H, W]."""
        grey = torch.from_numpy(np.ascontiguousarray(image, np.float32)).to(self.device)[None, None]
        marked = torch.from_numpy(np.ascontiguousarray(masks)).to(self.device)[None].float()
        with self._precision():
            tokens = self._network.encode_task(self._network.encode_image(grey), marked)
        return tuple(scale[0].float() for scale in tokens)

    def no_tokens(self, labels: int) -> tuple[Tensor, ...]:
        """Zeros in the place of the tokens of so many labels."""
        queries = [cast(TaskEncoder, encoder).queries for encoder in self._network.task_encoders]
        return tuple(each.new_zeros(labels, len(each) + 1, each.shape[1]).detach() for each in queries)

    def predictor(self, tokens: Sequence[Tensor]) -> Predictor:
        """What turns images into probabilities of all labels at once; labels attend to each other.

        Args:
            tokens: [K, T, C] per scale.
        """
        joint = [scale[None] for scale in tokens]

        @torch.inference_mode()
        def predict(images: Tensor) -> Tensor:
            with self._precision():
                logits = self._network.decode(self._network.encode_image(images), joint)
            return logits.float().sigmoid()

        return predict

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)
