"""One pretraining from the panel or the console: images in, a curve in the scene and an encoder in the lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from MaskWhatMattersLib.bridge.pretrain_settings import with_live
from MaskWhatMattersLib.bridge.training_plots import TrainingPlots
from MaskWhatMattersLib.bridge.training_run import TrainingRun, image_of
from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.spec import JobSpec

TITLE = "Pretraining"


class PretrainRun(TrainingRun):
    """A running or finished pretraining; cancelling keeps the last step as a model, `pause` also what to go on from.

    Attributes:
        loss: Last training loss; None before the first point.
    """

    can_be_paused = True

    def __init__(
        self,
        runner: Any,
        images: Path | Sequence[str],
        output: Path,
        settings: dict[str, Any],
        **callbacks: Any,
    ) -> None:
        """Begin with the first scan and return.

        Args:
            runner: Runs the job.
            images: Folder or manifest, or node IDs and paths.
            output: Folder of the model on this computer.
            settings: What `PretrainSpec` takes, beside images and output.
            callbacks: See `TrainingRun`; `origin` and `resumed`, too.
        """
        self.settings = {**settings, "config": with_live(settings["config"])}
        self._data = images if isinstance(images, Path) else None
        self._cases: list[ImageCase] = []
        sources = [] if isinstance(images, Path) else list(images)
        plots = TrainingPlots(slicer.mrmlScene, TITLE, None)
        super().__init__(runner, output, sources, plots, **callbacks)

    @property
    def loss(self) -> float | None:
        """Last training loss; None before the first point."""
        return self.values.get("loss")

    def prepare(self, index: int, name: str) -> None:
        """Write a scan, or keep its voxels."""
        image = image_of(self.scene, self._sources[index], self.folder, self.file_name(index))
        self._cases.append(ImageCase(name, image, name, "train"))

    def submission(self) -> tuple[JobSpec, tuple[Any, ...]]:
        """The pretraining with all images."""
        from MaskWhatMattersLib.jobs.pretrain_job import PretrainSpec

        spec = PretrainSpec(
            output=self.worker_output,
            must_go_on=self._resumed,
            data=self._data,
            send_back=self.remote,
            **self.settings,
        )
        return spec, (ImageCases(tuple(self._cases)),) if self._data is None else ()

    def keeping(self) -> JobSpec:
        """A model of the last checkpoint."""
        from MaskWhatMattersLib.jobs.pretrain_job import PretrainExportSpec

        return PretrainExportSpec(output=self.worker_output, send_back=self.remote)
