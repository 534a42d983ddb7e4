"""Models of the `transformers` library as a localizer: CLIPSeg, Grounding DINO + SAM, OWLv2 + SAM, SAM 3.

None of them was trained for medical images; they are here to compare, and for what researchers have fine-tuned.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.display_slices import DisplaySlices
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.relevance.concepts import checked_prompt, understand
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import CT_WINDOWS, Volume, percentile_window, require_finite, require_scalar, window

if TYPE_CHECKING:
    from MaskWhatMattersLib.relevance.text_models.families import Found, TextModel
    from MaskWhatMattersLib.relevance.text_models.places import Consent

JOINED = " + "


class TransformersLocalizer:
    """Finds free text in a volume, slice by slice.

    Args:
        model: Folder or hub id of the model; "detector + segmenter" names both at once.
        segmenter: Folder or hub id of a SAM that turns a detector's boxes into outlines; without one, boxes are
            filled.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        min_score: Score from which the thing counts as found, in 0..1; the family's own when None.
        consent: To a download from the hub; see `text_models.places.locate`.
        progress: Told of a download.

    Raises:
        InputError: No model given, or it is not there.
        ConsentRequiredError: It would have to be downloaded.
        ModelFileError: It cannot be loaded, or is of a family that does not fit.
    """

    name = "transformers"

    def __init__(
        self,
        model: str | None = None,
        segmenter: str | None = None,
        device: str = "auto",
        min_score: float | None = None,
        consent: Consent = False,
        progress: Progress | None = None,
    ) -> None:
        from MaskWhatMattersLib.networks.devices import torch_device
        from MaskWhatMattersLib.relevance.text_models.families import load_text_model
        from MaskWhatMattersLib.relevance.text_models.loading import ModelFolder
        from MaskWhatMattersLib.relevance.text_models.places import locate
        from MaskWhatMattersLib.relevance.text_models.segmenters import Segmenter

        if not model:
            raise InputError(
                'The localizer "transformers" needs a model and got none. Give the folder of a CLIPSeg, Grounding '
                'DINO, OWLv2 or SAM 3 model, or its hub id such as "CIDAS/clipseg-rd64-refined".'
            )
        if min_score is not None and not 0.0 < min_score < 1.0:
            raise InputError(
                f"The lowest score must lie between 0 and 1; found {min_score}. Leave it out when in doubt."
            )
        detector, _, joined = model.partition(JOINED)
        names = [detector.strip(), (segmenter or joined).strip()]
        report, on = progress or SilentProgress(), torch_device(device)
        folders = [ModelFolder(locate(name, consent, report), on) for name in names if name]
        self._segmenter = Segmenter(folders[1]) if len(folders) > 1 else None
        self._model: TextModel = load_text_model(folders[0], self._segmenter)
        self._min_score = min_score if min_score is not None else self._model.min_score
        self._model.min_score = self._min_score
        self.model_version = JOINED.join(folder.path.name for folder in folders)

    def localize(
        self,
        volume: Volume,
        prompts: Sequence[str],
        *,
        context: Progress | None = None,
        modality: str | None = None,
    ) -> list[RelevanceMap]:
        """One relevance map per prompt; slices that show nothing of it stay zero.

        Args:
            volume: Scalar volume or picture, [1, D, H, W].
            prompts: Free text.
            context: Gets one step per slice; may stop the work.
            modality: "CT" chooses a soft-tissue window; what the volume says when None.

        Raises:
            InputError: A prompt is empty or too long, or the volume has channels, NaN or infinite voxels.
        """
        import torch

        texts = [checked_prompt(prompt) for prompt in prompts]
        require_finite(require_scalar(volume))
        progress = context or SilentProgress()
        started = time.perf_counter()
        grey = DisplaySlices(_in_grey(volume, modality or volume.modality))
        shape = (len(grey), *grey.picture(0).shape)
        maps = np.zeros((len(texts), *shape), dtype=np.float32)
        scores = np.zeros((len(texts), len(grey)))
        progress.stage("Looking at the slices", total=len(grey))
        for index in range(len(grey)):
            picture = np.repeat((grey.picture(index) * 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)
            with torch.inference_mode():
                found: list[Found] = self._model.find(np.ascontiguousarray(picture), texts)
            for number, answer in enumerate(found):
                scores[number, index] = answer.score
                if answer.score >= self._min_score:
                    maps[number, index] = np.clip(answer.relevance, 0.0, 1.0)
            progress.step()
        seconds = (time.perf_counter() - started) / len(texts)
        return [
            self._answer(prompt, grey.volume_of(maps[number]), volume, scores[number], seconds)
            for number, prompt in enumerate(prompts)
        ]

    def _answer(
        self, prompt: str, relevance: Volume, source: Volume, scores: NDArray[np.float64], seconds: float
    ) -> RelevanceMap:
        best, slices = float(scores.max()), int((scores >= self._min_score).sum())
        if slices:
            message = (
                f"Found in {slices} of {len(scores)} slices. Check it: this model was not made for medical images."
            )
        else:
            message = f"Not found: the best score was {best:.2f}, and {self._min_score:.2f} is needed."
        return RelevanceMap(
            volume=source.with_array(relevance.array),
            prompt=prompt,
            verdict="found" if slices else "absent",
            score=best,
            message=message,
            localizer=self.name,
            model_version=self.model_version,
            concept=understand(prompt).concept,
            seconds=seconds,
        )


def _in_grey(volume: Volume, modality: str | None) -> Volume:
    """The volume as grey values in 0..1, one window for all slices."""
    if modality == "CT":
        return volume.with_array(window(volume.array, *CT_WINDOWS["soft_tissue"]))
    return volume.with_array(percentile_window(volume.array))
