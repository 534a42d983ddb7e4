"""In-context segmentation as the method describes it, step by step, as the slow side of `mass_speed.py`.

Every label of every reference is encoded by itself, the image each time anew; maps are enlarged to full resolution for
the masked mean; the shortcut of a block is a convolution of its own; every window is looked at. Weights, attention
layers and crops are those of the network and the encoder it is compared with, so both sides do the same on the same
numbers.
"""

from __future__ import annotations

import copy
import itertools

import numpy as np
import torch
from monai.data.utils import compute_importance_map
from torch.nn import functional

from MaskWhatMattersLib.mass.encode import box_of, cut_out, plan_crops
from MaskWhatMattersLib.mass.prepare import masks_on, prepare, to_source
from MaskWhatMattersLib.mass.windows import padded
from MaskWhatMattersLib.networks.task_encoder import pixel_shuffle, pixel_unshuffle


class LiteralMass:
    """Examples to tokens and scans to probabilities, with the weights of a `MassNetwork`."""

    def __init__(self, network, preprocessing, spacing_mm: float) -> None:
        # Torch's usual layout in memory; channels last is part of our side.
        self.network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
        self.preprocessing, self.spacing_mm = preprocessing, spacing_mm
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def encode(self, examples) -> list[torch.Tensor]:
        """Tokens of each label, averaged over the examples: [K, T, C] per scale, deepest first."""
        each = [self._encode_one(example) for example in examples]
        return [torch.stack(scale).mean(0) for scale in zip(*each, strict=True)]

    @torch.inference_mode()
    def segment(self, volume, tokens, overlap: float) -> np.ndarray:
        """Probabilities on the scan's own voxels, [K, D, H, W]."""
        prepared = prepare(volume, self.preprocessing, self.spacing_mm)
        side = self.network.config.window
        image, inside = padded(torch.from_numpy(prepared.volume.array[0]).to(self.device), side)
        weight = compute_importance_map((side,) * 3, mode="gaussian", sigma_scale=0.125, device=self.device)
        total = torch.zeros(len(tokens[0]), *image.shape, device=self.device)
        weights = torch.zeros_like(image)
        starts = [self._starts(length, side, overlap) for length in image.shape]
        for corner in itertools.product(*starts):
            window = tuple(slice(start, start + side) for start in corner)
            maps = self._image_maps(image[window][None, None])
            probability = self._decode(maps, [scale[None] for scale in tokens]).sigmoid()[0]
            total[(slice(None), *window)] += weight * probability
            weights[window] += weight
        found = (total / weights)[(slice(None), *inside)].cpu().numpy()
        return np.stack([to_source(prepared.volume.with_array(of_label[None]), volume) for of_label in found])

    def _encode_one(self, example) -> list[torch.Tensor]:
        prepared = prepare(example.image, self.preprocessing, self.spacing_mm)
        image, masks = prepared.volume.array[0], masks_on(prepared, example.masks)
        plans = plan_crops([box_of(mask) for mask in masks], image.shape, self.network.config.window)
        box_for = {place: plan.box for plan in plans for place in plan.masks}
        labels = []
        for place, mask in enumerate(masks):
            grey = torch.from_numpy(cut_out(image, box_for[place])).to(self.device)
            marked = torch.from_numpy(cut_out(mask, box_for[place])).to(self.device).float()
            labels.append(self._tokens(self._image_maps(grey[None, None]), marked[None, None]))
        return [torch.cat(scale) for scale in zip(*labels, strict=True)]

    def _tokens(self, maps, mask) -> list[torch.Tensor]:
        """Tokens [1, T, C] per scale of one mask [1, 1, D, H, W]."""
        encoders = self.network.task_encoders
        return [self._tokens_at(encoder, of_scale, mask) for encoder, of_scale in zip(encoders, maps, strict=False)]

    def _tokens_at(self, encoder, maps, mask) -> torch.Tensor:
        large = _enlarged(maps, mask.shape[2:])
        mean = (large * mask).sum((2, 3, 4)) / mask.sum((2, 3, 4)).clamp(min=1)
        image = pixel_shuffle(encoder.expand(_activated(maps, 1e-5)), encoder.stride)
        merged = encoder.merge(_activated(torch.cat([image, mask], 1), 1e-5)) + encoder.positions(mask.shape[2:])
        context = maps + encoder.squeeze(_activated(pixel_unshuffle(merged, encoder.stride), 1e-5))
        context = context.flatten(2).transpose(1, 2)
        tokens = torch.cat([encoder.query_norm(encoder.queries)[None], encoder.mean_norm(mean)[:, None]], 1)
        tokens = encoder.start_norm(tokens)
        for block in encoder.blocks:
            tokens = block(tokens, context)
        return encoder.final_norm(tokens)

    def _image_maps(self, image) -> list[torch.Tensor]:
        encoder = self.network.encoder
        maps = [_residual(encoder.first, encoder.stem(image))]
        for first, second in encoder.stages:
            maps.append(_residual(second, _residual(first, functional.max_pool3d(maps[-1], 2))))
        return maps[::-1]

    def _decode(self, maps, tokens) -> torch.Tensor:
        decoder, now, fused = self.network.decoder, maps[0], []
        for scale, (first, second) in enumerate(decoder.stages):
            if scale < len(decoder.fusions):
                now, known = decoder.fusions[scale](now, tokens[scale])
                fused.append(known)
            skip = maps[scale + 1]
            now = _residual(second, _residual(first, torch.cat([skip, _enlarged(now, skip.shape[2:])], 1)))
        return torch.einsum("bkc,bcdhw->bkdhw", self.network.classifier(fused), now)

    @staticmethod
    def _starts(length: int, side: int, overlap: float) -> list[int]:
        step = max(1, int(side * (1 - overlap)))
        return [*range(0, length - side, step), length - side]


def _activated(maps, eps: float = 1e-4):
    return functional.relu(functional.instance_norm(maps, eps=eps))


def _residual(block, maps):
    inner = block.second(_activated(block.first(_activated(maps))))
    return inner + (maps if block.shortcut is None else block.shortcut(_activated(maps)))


def _enlarged(maps, size):
    return functional.interpolate(maps, size, mode="trilinear", align_corners=True)
