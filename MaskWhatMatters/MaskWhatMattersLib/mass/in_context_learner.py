"""The network together with its loss, as the training loop calls it."""

from __future__ import annotations

from torch import nn

from MaskWhatMattersLib.mass.episodes import Episodes
from MaskWhatMattersLib.mass.losses import hard_dice, segmentation_loss
from MaskWhatMattersLib.networks.mass_network import MassNetwork
from MaskWhatMattersLib.training.step_losses import Losses


class InContextLearner(nn.Module):
    """Segments the queries by their references and says how far off it was."""

    def __init__(self, network: MassNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, episodes: Episodes) -> Losses:
        """Loss over the queries; `dice` is that of the masks that are there, thresholded at 0.5."""
        logits = self.network(episodes.query, episodes.reference, episodes.reference_masks)
        loss = segmentation_loss(logits, episodes.query_masks, episodes.counted)
        return Losses(loss, {"dice": hard_dice(logits.detach(), episodes.query_masks, episodes.counted)})
