"""The builtin localizer: prompt -> concept -> concept-conditioned U-Net -> relevance on the volume's own grid."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.models import load_into, read_model
from MaskWhatMattersLib.networks.concept_unet import ConceptUNet, ConceptUNetConfig
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.relevance.builtin.ct_lungs import ct_lungs
from MaskWhatMattersLib.relevance.builtin.slices import SliceStack, slice_volume
from MaskWhatMattersLib.relevance.concepts import Understanding, load_concepts, understand
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap, Verdict
from MaskWhatMattersLib.relevance.sentence_embedding import sentence_similarity
from MaskWhatMattersLib.volumes import Volume, require_finite, require_scalar

ARCHITECTURE = "ConceptUNet"
BATCH = 8
MODALITY_WORDS = {"CT": "CT", "MR": "MR", "XR": "X-ray", "other": "this kind of image"}
_LUNGS = ("right lung", "left lung")


class BuiltinCard(BaseModel):
    """What the model card says beside the network: the table concept x modality and the calibration.

    Attributes:
        trained: Concept -> modalities that it was trained and validated on.
        presence_threshold: Concept -> presence probability from which it is called found.
        single: Concepts of one piece: only the largest piece is kept.
        pictures_only: Concepts that were trained on single pictures, and never on volumes of other parts of the body:
            what it would say about a volume is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trained: dict[str, tuple[str, ...]]
    presence_threshold: dict[str, float] = Field(default_factory=dict)
    single: tuple[str, ...] = ()
    pictures_only: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Answer:
    """Verdict on one concept, before it is worded."""

    verdict: Verdict
    score: float
    relevance: Volume | None = None
    absent_parts: tuple[str, ...] = ()


class BuiltinLocalizer:
    """Our own small text-conditioned segmenter.

    Args:
        model: Model name or file; None: the one that comes with the extension.
        device: "auto" (the first GPU, else the processor), "cpu", "cuda" or "cuda:1".
    """

    name = "builtin"

    def __init__(self, model: str | None = None, device: str = "auto") -> None:
        state_dict, card = read_model(model or self.name, architecture=ARCHITECTURE)
        self.card = card
        self.settings = BuiltinCard.model_validate(card.preprocessing)
        self.network = ConceptUNet(ConceptUNetConfig.model_validate(card.config))
        load_into(self.network, state_dict, source=card.name)
        self.device = torch_device(device)
        self.network.to(self.device).eval()

    @torch.inference_mode()
    def localize(
        self,
        volume: Volume,
        prompts: Sequence[str],
        *,
        context: Progress | None = None,
        modality: str | None = None,
    ) -> list[RelevanceMap]:
        """One relevance map per prompt; the network runs once for all of them.

        Args:
            volume: Scalar volume or picture, [1, D, H, W].
            prompts: One structure each.
            context: Told of stages and steps.
            modality: "CT", "MR" or "XR"; None: what the file says, else guessed.

        Raises:
            InputError: A prompt is empty, or the volume has channels, NaN or infinite voxels.
        """
        progress = context or SilentProgress()
        started = time.perf_counter()
        require_finite(require_scalar(volume))
        understood = [understand(prompt, sentence_similarity) for prompt in prompts]
        kind = modality or volume.modality or self.guess_modality(volume)
        names = [
            part
            for item in understood
            if item.concept and not item.unsupported
            for part in parts_of(item.concept)
            if self._is_trained(part, volume, kind) and not _is_ct_lung(part, volume, kind)
        ]
        stack = slice_volume(volume, kind)
        probability, presence = self.look(stack, list(dict.fromkeys(names)), progress)
        lungs: dict[str, Volume] = {}
        if any(_is_ct_lung(name, volume, kind) for name in self._asked(understood)):
            progress.stage("Finding the lungs by their density", total=1)
            lungs = ct_lungs(volume)
            progress.step()
        shared_s = (time.perf_counter() - started) / max(1, len(prompts))
        maps = []
        for prompt, item in zip(prompts, understood, strict=True):
            own = time.perf_counter()
            answer = self._answer(item, volume, kind, stack, probability, presence, lungs)
            maps.append(self._map(prompt, item, volume, kind, answer, shared_s + time.perf_counter() - own))
        return maps

    def guess_modality(self, volume: Volume) -> str:
        """CT by its Hounsfield units, a picture by the network, anything else MR."""
        if volume.has_physical_scale:
            return "CT" if float(np.min(volume.array)) <= -200 else "MR"
        images = slice_volume(volume, None).with_context(torch.tensor([0])).to(self.device)
        modalities = self.network.config.modalities
        return modalities[int(self.network(images, torch.tensor([0], device=self.device)).modality[0].argmax())]

    @torch.inference_mode()
    def look(
        self, stack: SliceStack, names: list[str], progress: Progress
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Probability per pixel, [S, SIDE, SIDE], and presence per slice, [S], for each single structure."""
        if not names:
            return {}, {}
        concepts = torch.tensor([self.network.config.concepts.index(name) for name in names], device=self.device)
        batches = torch.arange(len(stack.images)).split(BATCH)
        progress.stage("Looking at the slices", total=len(batches))
        pixels, presence = [], []
        for chosen in batches:
            logits = self.network(stack.with_context(chosen).to(self.device), concepts)
            pixels.append(logits.pixels.float().sigmoid().cpu())
            presence.append(logits.presence.float().sigmoid().cpu())
            progress.step()
        all_pixels, all_presence = torch.cat(pixels), torch.cat(presence)
        return (
            {name: all_pixels[:, k] for k, name in enumerate(names)},
            {name: all_presence[:, k] for k, name in enumerate(names)},
        )

    def _asked(self, understood: list[Understanding]) -> list[str]:
        return [part for item in understood if item.concept and not item.unsupported for part in parts_of(item.concept)]

    def _is_trained(self, name: str, volume: Volume, kind: str) -> bool:
        fits_form = volume.is_single_slice or name not in self.settings.pictures_only
        return (fits_form and kind in self.settings.trained.get(name, ())) or _is_ct_lung(name, volume, kind)

    def _answer(
        self,
        item: Understanding,
        volume: Volume,
        kind: str,
        stack: SliceStack,
        probability: dict[str, Tensor],
        presence: dict[str, Tensor],
        lungs: dict[str, Volume],
    ) -> _Answer:
        if item.concept is None:
            return _Answer("unknown", 0.0)
        parts = parts_of(item.concept)
        if item.unsupported or not all(self._is_trained(part, volume, kind) for part in parts):
            return _Answer("untrained", 0.0)
        found, absent, score = [], [], 0.0
        for part in parts:
            if part in lungs:
                part_map, part_score = lungs[part], float(lungs[part].array.any())
                is_found = part_score > 0
            else:
                part_score = score_of(evidence(presence[part]), self.settings.presence_threshold.get(part, 0.5))
                is_found = part_score >= 0.5
                part_map = stack.to_volume(clean(probability[part], presence[part], part in self.settings.single))
                is_found = is_found and bool((part_map.array >= 0.5).any())
            score = max(score, part_score)
            if is_found:
                found.append(part_map.array)
            else:
                absent.append(part)
        if not found:
            return _Answer("absent", score)
        return _Answer("found", score, volume.with_array(np.maximum.reduce(found)), tuple(absent))

    def _map(
        self, prompt: str, item: Understanding, volume: Volume, kind: str, answer: _Answer, seconds: float
    ) -> RelevanceMap:
        """Word the answer."""
        word = MODALITY_WORDS.get(kind, kind)
        form = " volumes, only on pictures" if kind in self.settings.trained.get(item.concept or "", ()) else ""
        needs_hounsfield = kind == "CT" and set(parts_of(item.concept or "lungs")) <= set(_LUNGS)
        messages = {
            "unknown": item.message,
            "untrained": item.message
            or (
                f'"{item.concept}" in CT needs a whole volume in Hounsfield units, not a picture.'
                if needs_hounsfield
                else f'Not trained for "{item.concept}" on {word}{form}.'
            ),
            "absent": f'"{item.concept}" is not in this image.',
            "found": f'"{item.concept}" found'
            + (f", but not the {' and the '.join(answer.absent_parts)}." if answer.absent_parts else "."),
        }
        nothing = volume.with_array(np.zeros((1, *volume.spatial_shape), np.float32))
        return RelevanceMap(
            volume=answer.relevance or nothing,
            prompt=prompt,
            verdict=answer.verdict,
            score=answer.score,
            message=messages[answer.verdict],
            localizer=self.name,
            model_version=f"{self.card.name} {self.card.version}",
            concept=item.concept,
            seconds=seconds,
        )


class BuiltinResearchLocalizer(BuiltinLocalizer):
    """The same network trained on all sets, research-only ones included."""

    name = "builtin-research"


def parts_of(name: str) -> tuple[str, ...]:
    """The single structures whose union a concept is; itself where it is one."""
    return load_concepts()[name].parts or (name,)


def _is_ct_lung(name: str, volume: Volume, kind: str) -> bool:
    """Lungs in CT are found by rule, which needs HU: a picture of a CT slice has none."""
    return kind == "CT" and name in _LUNGS and volume.has_physical_scale and not volume.is_single_slice


def evidence(presence: Tensor) -> float:
    """Mean of the three slices that are surest that the concept is there."""
    return float(presence.topk(min(3, len(presence))).values.mean())


def score_of(found_evidence: float, threshold: float) -> float:
    """Evidence on a scale where every concept is called found from 0.5 on, whatever its calibrated threshold."""
    if found_evidence < threshold:
        return 0.5 * found_evidence / threshold
    return 0.5 + 0.5 * (found_evidence - threshold) / max(1.0 - threshold, 1e-6)


def clean(probability: Tensor, presence: Tensor, single: bool) -> Tensor:
    """Silence slices that do not hold the concept, and all but the largest piece of a single structure."""
    neighbourhood = torch.nn.functional.max_pool1d(presence[None, None], 3, stride=1, padding=1)[0, 0]
    gated = probability * (neighbourhood >= 0.3)[:, None, None]
    if not single:
        return gated
    parts, count = ndimage.label((gated >= 0.5).numpy())
    if count < 2:
        return gated
    sizes = ndimage.sum_labels(np.ones_like(parts), parts, range(1, count + 1))
    largest = ndimage.binary_dilation(parts == int(np.argmax(sizes)) + 1, iterations=2)
    return gated * torch.from_numpy(largest & ((parts == 0) | (parts == int(np.argmax(sizes)) + 1)))
