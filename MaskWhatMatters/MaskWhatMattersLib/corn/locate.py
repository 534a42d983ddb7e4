"""Where the left atrium is in a scan of the whole chest: a small network looks at the scan from afar.

Real scans that nobody has cropped are not at hand: the finder has been tried on scans put into made-up surroundings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch

from MaskWhatMattersLib.corn.cards import FINDER_ARCHITECTURE
from MaskWhatMattersLib.corn.model_files import read_network
from MaskWhatMattersLib.corn.postprocess import bounding_box, largest_component
from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing, normalise, prepare_scan
from MaskWhatMattersLib.corn.sliding import stoppable, whole_pass
from MaskWhatMattersLib.models import ModelCard
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.networks.vnet import VNet, VNetConfig
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume, crop_around

DEFAULT_FINDER = "left-atrium-finder"

FieldOfView = Literal["auto", "crop", "full"]

# The published scans are cropped around the atrium to 92-152 x 82-100 x 55 mm; whole ones are some 360 x 360 x 55 mm.
_WIDEST_CROP_MM = 180.0
_LEAST_ML = 2.0  # a tenth of the smallest atrium of the 2018 challenge: less is noise
_MOST_VOXELS = 6_000_000  # of one pass; at 2.5 mm a scan of 400 x 400 x 300 mm has half of it


class AtriumFinder:
    """Finds the box that holds the atrium. Make it with `load`."""

    def __init__(self, network: VNet, preprocessing: ScanPreprocessing, card: ModelCard, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.preprocessing = preprocessing
        self.card = card
        self.device = device

    @classmethod
    def load(cls, model: str | Path | None = None, device: str = "auto") -> Self:
        """The bundled finder, or another one by name or file.

        Raises:
            ModelFileError: Not found, damaged, or made for another network.
            InputError: No such device.
        """
        loaded = read_network(model or DEFAULT_FINDER, FINDER_ARCHITECTURE, VNetConfig, VNet)
        return cls(*loaded, torch_device(device))

    def find(self, volume: Volume, margin_mm: float = 15.0, progress: Progress | None = None) -> Volume | None:
        """The part of a scan that holds the atrium and a margin around it; None where none is found.

        Args:
            volume: Scalar scan, any orientation and spacing.
            margin_mm: To every side, as far as the scan goes.
            progress: May stop the work.
        """
        prepared = prepare_scan(volume, self.preprocessing)
        with torch.inference_mode(), stoppable(self.network, progress or SilentProgress()):
            image = normalise(torch.from_numpy(prepared.array)[None].to(self.device))
            probability = whole_pass(
                lambda images: self.network(images).logits.softmax(1)[:, 1:2],
                image,
                self.network.config.divisor,
                _MOST_VOXELS,
            )
        mask = largest_component(probability[0, 0].cpu().numpy() > 0.5)
        box = bounding_box(mask)
        if box is None or np.count_nonzero(mask) * prepared.voxel_volume_ml < _LEAST_ML:
            return None
        return crop_around(volume, box, prepared, margin_mm)


def is_whole_chest(volume: Volume) -> bool:
    """Whether a scan shows so much that the atrium has to be found first: more than 180 mm along two axes."""
    width, height, depth = volume.spacing_mm
    extent = sorted(np.array(volume.spatial_shape) * (depth, height, width))
    return bool(extent[1] > _WIDEST_CROP_MM)
