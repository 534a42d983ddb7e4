"""The network with the tokens of one task as weights: what learns when a task is tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.mass.tune_config import TuneMode
from MaskWhatMattersLib.networks.mass_network import MassNetwork

NETWORK, TOKENS = "network.", "tokens."


class TunedNetwork(nn.Module):
    """Images to the logits of one task, without any reference (in-context tuning of Iris, arXiv 2503.19359).

    Its state dict holds what learns alone; all else stays as the start model has it. The encoder of tasks never
    learns: no reference is encoded any more.

    Args:
        network: Shared, not copied.
        tokens: To begin with, [K, T, C] per scale.
        mode: What learns: "tokens"; "head", the classifier, too; "full", the image encoder and the decoder, too.
    """

    def __init__(self, network: MassNetwork, tokens: Sequence[Tensor], mode: TuneMode) -> None:
        super().__init__()
        self.network = network
        self.tokens = nn.ParameterList([scale.detach().clone() for scale in tokens])
        self._learns_features = mode == "full"
        for parameter in network.parameters():
            parameter.requires_grad = False
        learning = {"tokens": (), "head": (network.classifier,)}.get(
            mode, (network.encoder, network.decoder, network.classifier)
        )
        for part in learning:
            for parameter in part.parameters():
                parameter.requires_grad = True

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K, D, H, W] of images [B, 1, D, H, W]."""
        with torch.set_grad_enabled(self._learns_features and torch.is_grad_enabled()):
            features = self.network.encode_image(images)
        return self.network.decode(features, [scale[None] for scale in self.tokens])

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """What learns."""
        learned = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        everything = super().state_dict(*args, **kwargs)
        return {name: value for name, value in everything.items() if name in learned}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take over what learns.

        Raises:
            RuntimeError: Names or shapes that do not fit.
        """
        differing = sorted(set(state_dict) ^ set(self.state_dict()))
        if strict and differing:
            raise RuntimeError(f"What was tuned does not fit this network: {', '.join(differing[:8])}.")
        return super().load_state_dict(state_dict, strict=False, assign=assign)
