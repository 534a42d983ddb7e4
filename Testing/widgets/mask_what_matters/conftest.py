"""The module's panel on the host, with real jobs on a real worker process and a localizer made for tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

_HERE = Path(__file__).parent


def end_workers() -> None:
    """End the worker that earlier tests left warm, if any did."""
    jobs = sys.modules.get("MaskWhatMattersLib.bridge.jobs")
    if jobs is not None:
        jobs.close_runners()


@pytest.fixture(scope="session")
def probe_localizer(tmp_path_factory):
    """Install the localizer `probe` for this process and the workers that it starts."""
    from MaskWhatMattersLib.relevance import available_localizers

    folder = tmp_path_factory.mktemp("installed")
    (folder / "probe_localizer.py").write_text((_HERE / "probe_localizer.py").read_text())
    information = folder / "probe_localizer-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-localizer\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[maskwhatmatters.localizers]\nprobe = probe_localizer:INFO\nresearch = probe_localizer:RESEARCH\n"
    )
    sys.path.insert(0, str(folder))
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    available_localizers.cache_clear()
    end_workers()  # one of other tests would not know the localizer
    yield
    end_workers()
    os.environ["PYTHONPATH"] = before
    sys.path.remove(str(folder))
    available_localizers.cache_clear()


@pytest.fixture(scope="module")
def user_models(tmp_path_factory):
    """An empty folder of the user's models, for this process and the workers that it starts."""
    from MaskWhatMattersLib.models import default_user_folder

    end_workers()  # one of other tests would look into the real folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield default_user_folder()
        end_workers()


@pytest.fixture
def scan(host):
    """A volume with oblique axes, shown in the slice views."""
    a = np.radians(20)
    affine = np.array([[-np.cos(a), np.sin(a), 0, 5], [-np.sin(a), -np.cos(a), 0, -7], [0, 0, 2.5, 3], [0, 0, 0, 1]])
    array = np.random.default_rng(0).normal(100, 10, (12, 24, 20)).astype(np.float32)
    return host.add_volume(array, "scan", affine)


class Panel:
    """What a test does with the panel."""

    def __init__(self, host, widget) -> None:
        self.host, self.widget, self.ui = host, widget, widget.ui

    @property
    def state(self) -> str:
        return self.widget.panel.job.state

    def choose(self, localizer: str) -> None:
        self.ui.localizerCombo.setCurrentIndex(self.ui.localizerCombo.findData(localizer))

    def type(self, *prompts: str) -> None:
        self.ui.promptEdit.setPlainText("\n".join(prompts))

    def click(self) -> None:
        assert self.ui.applyButton.enabled, self.ui.applyButton.toolTip
        self.ui.applyButton.click()

    def wait_for(self, *states: str, seconds: float = 60) -> None:
        self.host.wait_until(lambda: self.state in states, seconds)

    def find(self, *prompts: str) -> None:
        """Apply and wait for the end."""
        self.type(*prompts)
        self.click()
        self.host.wait_until(lambda: not self.widget.panel.job.is_busy, 60)

    def wait_for_stage(self, text: str) -> None:
        self.host.wait_until(lambda: text in self.ui.stageLabel.text, 60)

    def table(self) -> list[list[str]]:
        table = self.ui.resultTable
        return [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]

    def mask(self, index: int = 0) -> np.ndarray:
        """Voxels of one of our segmentations, [D, H, W]."""
        import slicer

        from MaskWhatMattersLib.bridge.nodes import local_affine
        from MaskWhatMattersLib.bridge.segmentations import read_segment

        volume = self.ui.inputSelector.currentNode()
        node = self.nodes()[index]
        segment_id = node.GetSegmentation().GetNthSegmentID(0)
        return read_segment(node, segment_id, slicer.util.arrayFromVolume(volume), local_affine(volume))

    def expected(self, threshold: float) -> np.ndarray:
        """What the test localizer finds, [D, H, W]."""
        from probe_localizer import ball

        return ball(self.ui.inputSelector.currentNode().GetImageData().GetDimensions()[::-1]) >= threshold

    def nodes(self, class_name: str = "vtkMRMLSegmentationNode") -> list:
        return self.host.slicer.util.getNodesByClass(class_name)


@pytest.fixture
def panel(host, scan, probe_localizer):
    """The open module, with the test localizer chosen."""
    panel = Panel(host, host.open_module("MaskWhatMatters"))
    panel.choose("probe")
    yield panel
    if panel.widget.panel is not None and panel.widget.panel.run is not None:
        panel.widget.panel.run.cancel()
