"""Segment scans as examples show it: encode the examples once, then apply the task to any number of scans."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.encode import MarkEncoder
from MaskWhatMattersLib.mass.encode_examples import encode_examples
from MaskWhatMattersLib.mass.example import Example
from MaskWhatMattersLib.mass.examples import shared_labels
from MaskWhatMattersLib.mass.label_map import label_map_of, masks_found, probabilities_of
from MaskWhatMattersLib.mass.look import Look
from MaskWhatMattersLib.mass.model_choice import find_mass_model
from MaskWhatMattersLib.mass.model_files import read_mass
from MaskWhatMattersLib.mass.notes import known_modality, label_notes, scan_notes, task_notes
from MaskWhatMattersLib.mass.passes import MassPasses
from MaskWhatMattersLib.mass.prepare import fitting_spacing, prepare
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.mass.quality import Quality, estimated_quality
from MaskWhatMattersLib.mass.result import InContextSegmentation, LabelResult
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.mass.task_files import require_model
from MaskWhatMattersLib.models import ModelCard
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.networks.mass_network import MassNetwork, place
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume

Precision = Literal["auto", "fp32", "bf16"]


class InContextSegmenter:
    """A MASS network, kept ready for any number of tasks and scans. Make it with `load`.

    Attributes:
        network: On its device.
        preprocessing: How scans are prepared for it.
        card: Of the model.
        device: Where it runs.
        model_file: Where it was read.
    """

    def __init__(
        self,
        network: MassNetwork,
        preprocessing: MassPreprocessing,
        card: ModelCard,
        device: torch.device,
        *,
        model_file: Path | None = None,
        precision: Precision = "auto",
    ) -> None:
        self.network = place(network, device).eval()
        self.preprocessing = preprocessing
        self.card = card
        self.device = device
        self.model_file = model_file
        self._precision = precision

    @classmethod
    def load(cls, model: str | Path | None = None, device: str = "auto", precision: Precision = "auto") -> Self:
        """A model by name or file; the default one when None.

        Args:
            model: Name or .safetensors file.
            device: "auto", "cpu", "cuda", "cuda:1".
            precision: "bf16" is faster where the processor knows it, and not exact; "auto" takes it on a GPU.

        Raises:
            ModelFileError: Not found, damaged, or made for another network; lists what does not fit.
            InputError: No such device.
        """
        path = find_mass_model(model)
        network, preprocessing, card = read_mass(path)
        return cls(network, preprocessing, card, torch_device(device), model_file=path, precision=precision)

    @property
    def name(self) -> str:
        """Name and version of the model."""
        return f"{self.card.name} {self.card.version}"

    def encode(
        self, examples: Sequence[Example], *, spacing_mm: float | None = None, progress: Progress | None = None
    ) -> Task:
        """Make a task of examples.

        Args:
            examples: One or more; each may have some of the labels.
            spacing_mm: Of the voxels that the network sees. When None that of the model, or a finer one where no
                example fills a window.
            progress: Gets one step per example; may stop the work.

        Raises:
            InputError: Examples that cannot be used; all problems together.
        """
        progress = progress or SilentProgress()
        shared = shared_labels(examples)
        window = self.network.config.window
        spacing_mm = spacing_mm or max(
            fitting_spacing(example.image, self.preprocessing, window) for example in examples
        )
        _, encoder = self._ready("auto")
        encoded = encode_examples(examples, shared, encoder, self.preprocessing, spacing_mm, progress)
        modalities = {known_modality(example.image) for example in examples}
        return Task(
            labels=shared.labels,
            tokens=encoded.tokens,
            present=encoded.present,
            spacing_mm=spacing_mm,
            modality=modalities.pop() if len(modalities) == 1 else None,
            model=self.name,
            model_sha256=self.card.sha256 or "",
            model_file=str(self.model_file or ""),
            crops=encoded.crops,
            notes=(*shared.notes, *task_notes(shared.labels, encoded.cut, encoded.outside, spacing_mm, window)),
            research_only=self.card.research_only,
        )

    def segment(
        self,
        volume: Volume,
        task: Task,
        settings: SegmentSettings = SegmentSettings(),  # noqa: B008  (frozen)
        progress: Progress | None = None,
    ) -> InContextSegmentation:
        """Apply a task to a scan.

        Args:
            volume: Scalar scan, any orientation and spacing, oblique and anisotropic included.
            task: From `encode`, `read_task` or a tuning.
            settings: How.
            progress: Gets one step per window; may stop the work.

        Raises:
            ModelFileError: The task was made with another model.
            InputError: The scan cannot be used, or mirror images are asked for without examples.
            GeometryError: It is a single slice.
        """
        started = time.perf_counter()
        progress = progress or SilentProgress()
        self._check(task, settings)
        progress.stage("Preparing the scan")
        prepared = prepare(volume, self.preprocessing, task.spacing_mm)
        passes, encoder = self._ready(settings.precision)
        look = Look(passes, encoder, task, settings, progress)
        image = torch.from_numpy(prepared.volume.array[0]).to(self.device)
        seen = look(image, [torch.from_numpy(scale).to(self.device) for scale in task.tokens])
        if settings.mirrored:
            seen = seen.averaged_with(look(image.flip(-1), _mirrored_tokens(task, passes)))
        quality = Quality(np.full(len(task.labels), np.nan), "none")
        # After a full tuning, the encoder of tasks no longer knows the maps: tokens of the result would mean nothing.
        if settings.quality and task.tuned != "full":
            progress.stage("Estimating the quality")
            quality = estimated_quality(
                encoder,
                passes,
                prepared.volume.array[0],
                masks_found(seen.probabilities, task.labels, settings),
                task.crops,
                settings.threshold,
                progress,
            )
        progress.stage("Bringing the result to the scan", len(task.labels))
        largest = seen.probabilities.flatten(1).amax(1).float().cpu().numpy()
        probabilities = replace(prepared.volume, array=seen.probabilities.cpu().numpy())
        label_map = label_map_of(probabilities, volume, task.labels, settings, progress)
        results = _label_results(task, label_map, quality.dice, largest)
        return InContextSegmentation(
            label_map=label_map,
            probabilities=probabilities_of(probabilities, volume) if settings.keep_probabilities else None,
            labels=results,
            quality_method=quality.method,
            notes=tuple(scan_notes(known_modality(volume), task.modality)),
            windows=seen.windows,
            windows_looked_at=seen.looked_at,
            seconds=time.perf_counter() - started,
            model=self.name,
            research_only=self.card.research_only or task.research_only,
        )

    def _check(self, task: Task, settings: SegmentSettings) -> None:
        require_model(task, self.name, self.card.sha256)
        sizes = [each.shape[1:] for each in self._ready("auto")[0].no_tokens(1)]
        found = [scale.shape[2:] for scale in task.tokens]
        if found != sizes:
            raise InputError(
                f"The task does not fit its model: its tokens are {found}, and the model takes "
                f"{[tuple(each) for each in sizes]}. Make the task again from its examples."
            )
        if settings.mirrored and (not task.crops or task.tuned):
            raise InputError(
                "Mirror images need the examples themselves, mirrored, too; this task "
                + ("was tuned" if task.tuned else "comes without them")
                + ". Switch mirror images off, or make the task again from its examples."
            )

    def _ready(self, precision: Precision) -> tuple[MassPasses, MarkEncoder]:
        """Both passes of the network, and what encodes with them."""
        chosen = precision if precision != "auto" else self._precision
        passes = MassPasses(self.network, bf16=chosen == "bf16" or (chosen == "auto" and self.device.type == "cuda"))
        return passes, MarkEncoder(passes, normalise=self.preprocessing.normalise == "crop")


def _mirrored_tokens(task: Task, passes: MassPasses) -> list[Tensor]:
    """Tokens of the examples, left and right exchanged, [R, K, T, C] per scale."""
    tokens = [torch.zeros(scale.shape, device=passes.device) for scale in task.tokens]
    for crop in task.crops:
        of_crop = passes.tokens(crop.image[..., ::-1], crop.masks[..., ::-1])
        for scale, found in zip(tokens, of_crop, strict=True):
            scale[crop.example, list(crop.labels)] = found
    return tokens


def _label_results(
    task: Task, label_map: Volume, quality: NDArray[np.float64], largest: NDArray[np.float32]
) -> tuple[LabelResult, ...]:
    counts = np.bincount(label_map.array.ravel(), minlength=max(label.value for label in task.labels) + 1)
    results = []
    for index, label in enumerate(task.labels):
        volume_ml = float(counts[label.value]) * label_map.voxel_volume_ml
        estimate, probability = float(quality[index]), float(largest[index])
        notes = label_notes(label, volume_ml, estimate, probability)
        results.append(LabelResult(label, volume_ml, estimate, probability, notes))
    return tuple(results)
