"""The scans of one training on its device, and the batches that are drawn from them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.preprocessing import prepare_label_map, prepare_scan
from MaskWhatMattersLib.datasets.choice import choose
from MaskWhatMattersLib.datasets.device_scans import DeviceScans
from MaskWhatMattersLib.datasets.training_cases import CornCases, read_cases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.progress import Progress


class CornScans:
    """Labelled, unlabelled and validation scans, read once.

    Raises:
        InputError: A case cannot be used, or the method needs unlabelled scans and there is none.
    """

    def __init__(self, config: CornTrainingConfig, cases: CornCases, progress: Progress, device: torch.device) -> None:
        if config.uses_unlabelled and not cases.unlabelled:
            raise InputError(
                f'The mode "{config.mode}" learns from unlabelled scans too; found none. Add unlabelled scans, or use '
                'the mode "supervised".'
            )
        if not config.uses_unlabelled:
            cases = replace(cases, unlabelled=())
        scans: dict[str, list[Tensor]] = {"labelled": [], "unlabelled": [], "validation": []}
        label_maps: dict[str, list[Tensor | None]] = {role: [] for role in scans}
        for role, _, image, label_map in read_cases(cases, progress):
            scan = prepare_scan(image, config.preprocessing)
            truth = None if label_map is None else prepare_label_map(label_map, scan, config.preprocessing)
            scans[role].append(torch.from_numpy(scan.array[0]))
            label_maps[role].append(None if truth is None else torch.from_numpy(truth.array[0]))
        self._config = config
        self.labelled = DeviceScans(scans["labelled"], label_maps["labelled"], device)
        self.unlabelled = DeviceScans(scans["unlabelled"], label_maps["unlabelled"], device)
        self.validation = DeviceScans(scans["validation"], label_maps["validation"], device)

    def batch(self, seed: int) -> CornBatch:
        """The batch that belongs to a seed; no scan twice in it where there are enough."""
        config = self._config
        generator = torch.Generator().manual_seed(seed)
        # Seeds of their own: with the batch's seed, one random number would choose a scan and how it is turned.
        of_labelled, of_unlabelled = torch.randint(2**62, (2,), generator=generator).tolist()
        chosen = choose(len(self.labelled), config.labelled_per_batch, generator)
        known = self.labelled.patches(chosen, config.patch_size, config.augment, of_labelled)
        images, scan_ids = [known.images], chosen
        if config.uses_unlabelled:
            others = choose(len(self.unlabelled), config.unlabelled_per_batch, generator)
            images.append(self.unlabelled.patches(others, config.patch_size, config.augment, of_unlabelled).images)
            scan_ids = [*chosen, *(len(self.labelled) + index for index in others)]
        return CornBatch(torch.cat(images), known.labels, torch.tensor(scan_ids, device=known.images.device))
