"""The image of a live preview: prepared once, kept in the warm worker with the region that was found in it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
    from MaskWhatMattersLib.jobs.mask_preview_job import MaskPreviewSpec
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
    from MaskWhatMattersLib.volumes import Volume

_MAX_WARM = 2
"""Images that stay prepared in a warm worker."""


class PreviewImage:
    """An image with what was made of it last, so that a slider pays only for what it changes.

    Args:
        volume: As stored, [1, D, H, W].
        label_map: On its grid; None where there is none.
    """

    def __init__(self, volume: Volume, label_map: Volume | None) -> None:
        self.volume, self.label_map = volume, label_map
        self._prepared: tuple[ImagePreprocessing, Volume] | None = None
        self._found: tuple[object, list[RelevanceMap]] | None = None
        self._marks: tuple[object, NDArray[np.bool_]] | None = None

    def prepared(self, preprocessing: ImagePreprocessing) -> Volume:
        """The image as encoders see it: `prepare_image`."""
        from MaskWhatMattersLib.datasets.prepare_images import prepare_image

        if self._prepared is None or self._prepared[0] != preprocessing:
            self._prepared = (preprocessing, prepare_image(self.volume, preprocessing))
        return self._prepared[1]

    def marks(self, spec: MaskPreviewSpec, context: Progress) -> tuple[NDArray[np.bool_], list[str], bool]:
        """The region on the prepared grid, [D, H, W]; what localizers said; and whether that was known before.

        Raises:
            InputError: Image, label map, prompt or localizer cannot be used.
        """
        from MaskWhatMattersLib.datasets.prepare_images import prepare_marks
        from MaskWhatMattersLib.masking.regions import region_of

        prepared = self.prepared(spec.preprocessing)
        if spec.region.source == "none":
            return np.zeros(prepared.spatial_shape, bool), [], True
        cached, messages = True, []
        source: Volume | list[RelevanceMap]
        if spec.region.source == "labels":
            source = self._labels()
        else:
            source, cached = self._relevance(spec, context)
            messages = [answer.message for answer in source if answer.verdict in ("unknown", "untrained")]
        asked = (spec.preprocessing, spec.region)
        if self._marks is None or self._marks[0] != asked:
            region = prepare_marks(region_of(source, spec.region), prepared, "region")
            self._marks = (asked, region.array[0] > 0)
        return self._marks[1], messages, cached

    def _labels(self) -> Volume:
        """Where the drawn label map marks anything."""
        from MaskWhatMattersLib.datasets.image_cases import ImageCase
        from MaskWhatMattersLib.datasets.labels import read_region

        drawn = read_region(ImageCase("the image", self.volume, "", label_map=self.label_map), self.volume)
        if drawn is None:
            raise InputError("The region comes from label maps, and the image has none. Choose a segmentation.")
        return drawn

    def _relevance(self, spec: MaskPreviewSpec, context: Progress) -> tuple[list[RelevanceMap], bool]:
        """What prompts find, from the cache or the localizer, and whether it was known before."""
        from MaskWhatMattersLib.datasets.relevance_cache import RelevanceCache, localizer_version
        from MaskWhatMattersLib.jobs import relevance_job

        region = spec.region
        prompts = tuple(text.strip() for text in region.prompts if text.strip())
        version = localizer_version(region.localizer, region.model)
        asked = (prompts, region.localizer, version, spec.cache)
        if self._found is not None and self._found[0] == asked:
            return self._found[1], True
        cached = True

        def find(unknown: list[str]) -> list[RelevanceMap]:
            nonlocal cached
            cached = False
            question = relevance_job.RelevanceSpec(
                prompts=tuple(unknown), localizer=region.localizer, model=region.model, device=spec.device
            )
            return relevance_job.run(question, context, self.volume)

        maps = RelevanceCache(spec.cache).get_or_compute(self.volume, prompts, region.localizer, version, find)
        self._found = (asked, maps)
        return maps, cached


_warm: OrderedDict[str, PreviewImage] = OrderedDict()


def is_warm(key: str) -> bool:
    """Whether the image of a key is at hand."""
    return key in _warm


def warm_image(spec: MaskPreviewSpec, volume: Volume | None, label_map: Volume | None) -> PreviewImage:
    """The image of a job, with what earlier jobs made of it.

    Raises:
        InputError: It was not sent, and is not here under the key of the spec.
    """
    if volume is None:
        if spec.key is None or spec.key not in _warm:
            raise InputError(
                "The image of the preview is not at hand: none was sent, and none is kept under "
                f"{'the key ' + spec.key if spec.key is not None else 'a key'}. Send the image with the job."
            )
        _warm.move_to_end(spec.key)
        return _warm[spec.key]
    key = spec.key if spec.key is not None else _digest(volume, label_map)
    if key not in _warm:
        _warm[key] = PreviewImage(volume, label_map)
    _warm.move_to_end(key)
    while len(_warm) > _MAX_WARM:
        _warm.popitem(last=False)
    return _warm[key]


def _digest(*volumes: Volume | None) -> str:
    """The same for the same voxels at the same place."""
    digest = hashlib.blake2b(digest_size=16)
    for volume in volumes:
        if volume is not None:
            about = (volume.array.shape, volume.array.dtype.str, volume.modality, volume.affine.tolist())
            digest.update(repr(about).encode())
            digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()
