"""Trains narrow strided convolutions on pictures, as a residual encoder has them; run by test_fabric in a process."""

import torch
from torch import nn

from MaskWhatMattersLib.training.fabric import prepare_network

torch.manual_seed(0)
for channels in (4, 8, 12):
    network = prepare_network(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, 16, 1, 2)))
    kept = []
    for round_ in range(30):
        network(torch.randn(4, channels, 64, 64)).square().mean().backward()
        kept.append(torch.randn(1000 + round_))  # allocations, so that damage is noticed
