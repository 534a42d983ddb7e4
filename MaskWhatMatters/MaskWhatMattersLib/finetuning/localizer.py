"""A finetuned segmentation or detection model as a localizer: the prompts are the names of its labels."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError, UnknownConceptError
from MaskWhatMattersLib.finetuning.card_preprocessing import model_in
from MaskWhatMattersLib.finetuning.detect import FinetunedDetector
from MaskWhatMattersLib.finetuning.detection_network import ARCHITECTURE as DETECTION
from MaskWhatMattersLib.finetuning.predict import FinetunedSegmenter
from MaskWhatMattersLib.models import find_model, read_card
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.relevance.concepts import checked_prompt, load_concepts, understand
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import Volume

_THRESHOLD = 0.5


class FinetunedLocalizer:
    """Answers prompts with what a segmentation or detection model of yours says about its labels.

    A prompt names a label by its name, or by any words for the same concept; "lungs" names both halves where the model
    tells them apart.

    Args:
        model: Name, file or training folder of a finetuned segmentation or detection model.
        device: "auto", "cpu", "cuda", "cuda:1".
        consent: Taken for the sake of a common signature; nothing is downloaded.
        progress: The same.

    Raises:
        InputError: No model given, or no such device.
        ModelFileError: Not found, damaged, or a model of another kind.
    """

    name = "finetuned"

    def __init__(
        self,
        model: str | Path | None = None,
        device: str = "auto",
        consent: object = False,
        progress: Progress | None = None,
    ) -> None:
        if not model:
            raise InputError(
                'The localizer "finetuned" needs a model and got none. Give the model.safetensors, or its folder, that '
                "a finetuning with the task segmentation made."
            )
        self._model: FinetunedSegmenter | FinetunedDetector
        if read_card(find_model(model_in(model))).architecture == DETECTION:
            self._model = FinetunedDetector.load(model, device)
        else:
            self._model = FinetunedSegmenter.load(model, device)
        self.model_version = self._model.name

    @property
    def prompts(self) -> tuple[str, ...]:
        """What can be asked for: the names of the labels, each once."""
        return tuple(dict.fromkeys(self._model.names.values()))

    def localize(
        self,
        volume: Volume,
        prompts: Sequence[str],
        *,
        context: Progress | None = None,
        modality: str | None = None,
    ) -> list[RelevanceMap]:
        """One map per prompt: the probability of its labels; the network runs once for all of them.

        Args:
            volume: Scalar volume or picture, [1, D, H, W].
            prompts: Names of labels.
            context: Told of the stage; may stop the work.
            modality: Taken for the sake of a common signature; the model knows what it learned from.

        Raises:
            InputError: A prompt is empty, or the image cannot be used.
            UnknownConceptError: Prompts that name no label; all of them, with the nearest names.
        """
        progress = context or SilentProgress()
        started = time.perf_counter()
        wanted = self._labels_of(prompts)
        relevance = np.zeros((len(wanted), *volume.spatial_shape), np.float32)
        for value, probability in zip(self._model.values, self._model.each_class(volume, progress), strict=True):
            for number, labels in enumerate(wanted):
                if value in labels:
                    relevance[number] += probability
        seconds = (time.perf_counter() - started) / len(prompts)
        return [
            self._answer(volume, prompt, relevance[number], wanted[number], seconds)
            for number, prompt in enumerate(prompts)
        ]

    def _answer(
        self, volume: Volume, prompt: str, relevance: NDArray[np.float32], labels: Sequence[int], seconds: float
    ) -> RelevanceMap:
        names = self._model.names
        asked = " and ".join(f'"{name}"' for name in dict.fromkeys(names[label] for label in labels))
        best = float(relevance.max())
        is_found = best >= _THRESHOLD
        message = f"{asked} found by your model {self._model.card.name}."
        if not is_found:
            message = f"{asked} is not in this image: the highest probability is {best:.2f}."
        return RelevanceMap(
            volume=volume.with_array(np.minimum(relevance, 1.0)[None] * np.float32(is_found)),
            prompt=prompt,
            verdict="found" if is_found else "absent",
            score=min(best, 1.0),
            message=message,
            localizer=self.name,
            model_version=self.model_version,
            concept=understand(prompt).concept or names[labels[0]],
            threshold=_THRESHOLD,
            seconds=seconds,
        )

    def _labels_of(self, prompts: Sequence[str]) -> list[list[int]]:
        """The labels that each prompt names.

        Raises:
            InputError: A prompt is empty or too long.
            UnknownConceptError: Prompts name no label.
        """
        wanted = [labels_named(prompt, self._model.names) for prompt in prompts]
        unknown = [prompt for prompt, labels in zip(prompts, wanted, strict=True) if not labels]
        if unknown:
            known = {plain(name): name for name in self.prompts}
            near = [name for prompt in unknown for name in difflib.get_close_matches(plain(prompt), known, 3, 0.5)]
            suggestions = tuple(dict.fromkeys(known[name] for name in near)) or self.prompts[:3]
            asked = ", ".join(f'"{prompt[:60]}"' for prompt in unknown)
            names = ", ".join(f'"{name}"' for name in self.prompts)
            raise UnknownConceptError(
                f"The model {self._model.card.name} has no label {asked}. Did you mean "
                f"{' or '.join(suggestions)}? It knows {names}.",
                suggestions,
            )
        return wanted


def labels_named(prompt: str, names: dict[int, str]) -> list[int]:
    """The labels whose name the prompt says, in the same or other words for the same concept.

    Raises:
        InputError: The prompt is empty or too long.
    """
    text = plain(checked_prompt(prompt))
    if same := [value for value, name in names.items() if plain(name) == text]:
        return same
    asked = understand(prompt)
    if asked.concept is None or asked.unsupported:
        return []
    concepts = {value: understand(plain(name)) for value, name in names.items() if plain(name)}
    of = {value: found.concept for value, found in concepts.items() if not found.unsupported}
    if same := [value for value, concept in of.items() if concept == asked.concept]:
        return same
    parts = load_concepts()[asked.concept].parts
    halves = [value for value, concept in of.items() if concept in parts]
    return halves if set(parts) <= set(of.values()) else []


def plain(name: str) -> str:
    """A label's name as words: "Left_Lung" is "left lung"."""
    return " ".join(re.sub(r"[_\W]+", " ", name).casefold().split())
