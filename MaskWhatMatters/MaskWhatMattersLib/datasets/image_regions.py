"""What is relevant in each image of a training: what prompts find, through the cache, or what label maps say."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.labels import read_region
from MaskWhatMattersLib.datasets.relevance_cache import RelevanceCache, localizer_version
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import RegionConfig
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.volumes import Volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.relevance import Localizer, RelevanceMap


class ImageRegions:
    """Finds the region of one image after the other; the localizer is loaded when it is first needed.

    Args:
        config: Where regions come from.
        cache: Keeps what localizers say.
        device: Where a localizer runs.
        progress: Asked whether to stop.
    """

    def __init__(self, config: RegionConfig, cache: RelevanceCache, device: str, progress: Progress) -> None:
        self.config, self._cache, self._device, self._progress = config, cache, device, progress
        self._prompts = tuple(text.strip() for text in config.prompts if text.strip())
        self._localizer: Localizer | None = None
        self._version: str | None = None
        self._answers: Counter[str] = Counter()

    def of(self, case: ImageCase, image: Volume) -> Volume | None:
        """0 and 1 on the grid of the image; None where nothing is said about it.

        Raises:
            InputError: A label map, a prompt or the localizer cannot be used.
        """
        from MaskWhatMattersLib.masking.regions import region_of

        if self.config.source == "none":
            return None
        if self.config.source == "labels":
            drawn = read_region(case, image)
            return None if drawn is None else region_of(drawn, self.config)
        if self._version is None:
            self._version = localizer_version(self.config.localizer, self.config.model)
        maps = self._cache.get_or_compute(
            image, self._prompts, self.config.localizer, self._version, partial(self._localize, image)
        )
        self._answers.update(answer.message for answer in maps if answer.verdict in ("unknown", "untrained"))
        return region_of(maps, self.config)

    def notes(self, images: int, without: int) -> tuple[str, ...]:
        """What the person should know about the regions.

        Args:
            images: How many images there are, slices of volumes counted one by one.
            without: How many of them hold no part of a region.

        Raises:
            InputError: No image has a region.
        """
        if self.config.source == "none" or not without:
            return ()
        said = tuple(f"{message} (said of {count} images)" for message, count in self._answers.most_common(3))
        what = " or ".join(f'"{text}"' for text in self._prompts) if self.config.source == "prompts" else "a label"
        if without == images:
            raise InputError(
                f"Nothing is relevant: none of the {images} images holds {what}. {' '.join(said)} Try another prompt "
                "or localizer on one image first (whatmatters relevance), or mask at random."
            )
        return (
            f"{without} of {images} images hold no {what.removeprefix('a ')}; their tokens are hidden at the uniform "
            "ratio.",
            *said,
        )

    def _localize(self, image: Volume, prompts: list[str]) -> list[RelevanceMap]:
        from MaskWhatMattersLib.relevance import create_localizer

        if self._localizer is None:
            self._localizer = create_localizer(self.config.localizer, model=self.config.model, device=self._device)
        return self._localizer.localize(image, prompts, context=_Quiet(self._progress))


class _Quiet:
    """Keeps what a localizer tells from replacing the stage of the images, and passes on the wish to stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def stage(self, text: str, total: int = 0) -> None:
        """Only look whether to stop."""
        self._progress.step(0)

    def step(self, count: int = 1, message: str = "") -> None:
        """Only look whether to stop."""
        self._progress.step(0)

    def log(self, text: str) -> None:
        """Add one line to the log."""
        self._progress.log(text)
