"""The module CornSegmentation on the host, with jobs on a real worker process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

_HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def corn_models(tmp_path_factory):
    """Cards of models in a user folder of their own, and a job that acts by their names: the panel needs no network."""
    from MaskWhatMattersLib.models import Metric, ModelCard, TrainingData, default_user_folder

    end_workers()  # one of other tests would look into the real folder
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))
        patch.setenv("PYTHONPATH", str(_HERE), prepend=os.pathsep)
        patch.syspath_prepend(str(_HERE))
        default_user_folder().mkdir(parents=True)
        for name in ("left-atrium", "our-site", "slow-atrium", "killed", "wrong"):
            card = ModelCard(
                name=name,
                version="1.2.3" if name == "our-site" else "0.0.1",
                architecture="corn-vnet-pair",
                training_data=(TrainingData(name="made up", licence="none", research_only=True, cases=3),),
                licence="for tests",
                research_only=True,
                metrics=(Metric(name="Dice", value=0.9123, protocol="made-up scans, by hand"),)
                if name == "our-site"
                else (),
            )
            (default_user_folder() / f"{name}.json").write_text(card.model_dump_json())
            (default_user_folder() / f"{name}.safetensors").touch()
        yield default_user_folder()
        end_workers()


@pytest.fixture
def probe_job(corn_models, monkeypatch):
    """The job without a network in place of the real one."""
    from probe_corn_job import ProbeSpec

    from MaskWhatMattersLib.jobs import corn_segment_job

    monkeypatch.setattr(corn_segment_job, "CornSegmentSpec", ProbeSpec)


def end_workers() -> None:
    """End the worker that earlier tests left warm, if any did."""
    jobs = sys.modules.get("MaskWhatMattersLib.bridge.jobs")
    if jobs is not None:
        jobs.close_runners()


@pytest.fixture
def add_heart(host):
    """Function that adds another scan to the scene: a bright ball in noise, on oblique axes with voxels of 2 mm."""

    def add(name="heart", seed=1):
        a = np.radians(20)
        turned = np.array([[-np.cos(a), np.sin(a), 0], [-np.sin(a), -np.cos(a), 0], [0, 0, 1]])
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = 2.0 * turned, (5, -7, 3)
        grid = np.ogrid[-1:1:20j, -1:1:28j, -1:1:32j]
        ball = sum(axis**2 for axis in grid) < 0.3 + 0.05 * seed
        array = np.random.default_rng(seed).normal(200, 20, ball.shape) + 500 * ball
        return host.add_volume(array.astype(np.float32), name, affine)

    return add


@pytest.fixture
def heart(add_heart):
    """A scan with oblique axes, shown in the slice views."""
    return add_heart()


@pytest.fixture
def corn_widget(host, heart, probe_job):
    """The open module; `.segment` and `.adapt` are its two panels, `.ui` and `.adaptUi` their widgets."""
    widget = host.open_module("CornSegmentation")
    yield widget
    for panel in widget.panels:
        if getattr(panel, "run", None) is not None:
            panel.run.cancel()


class SegmentTab:
    """What a test does with the tab."""

    def __init__(self, host, widget) -> None:
        self.host, self.widget, self.ui = host, widget, widget.ui

    @property
    def state(self) -> str:
        return self.widget.segment.job.state

    def choose(self, combo, data) -> None:
        combo.setCurrentIndex(combo.findData(data))

    def click(self) -> None:
        assert self.ui.applyButton.enabled, self.ui.applyButton.toolTip
        self.ui.applyButton.click()

    def apply(self) -> None:
        """Apply and wait for the end."""
        self.click()
        self.host.wait_until(lambda: not self.widget.segment.job.is_busy, 60)

    def wait_for(self, *states: str, seconds: float = 60) -> None:
        self.host.wait_until(lambda: self.state in states, seconds)

    def be_slow(self) -> None:
        """Choose what takes long enough to be interrupted."""
        self.choose(self.ui.modelCombo, "slow-atrium")
        self.ui.acknowledgeCheckBox.checked = True

    def table(self) -> list[list[str]]:
        table = self.ui.resultTable
        return [[table.item(row, column).text() for column in range(5)] for row in range(table.rowCount)]

    def nodes(self, class_name: str = "vtkMRMLSegmentationNode") -> list:
        return self.host.slicer.util.getNodesByClass(class_name)

    def mask(self, index: int = 0) -> np.ndarray:
        """Voxels of one of our segmentations on the grid of the scan, [D, H, W]."""
        from MaskWhatMattersLib.bridge.nodes import local_affine
        from MaskWhatMattersLib.bridge.segmentations import read_segment

        node, volume = self.nodes()[index], self.ui.inputSelector.currentNode()
        segment_id = node.GetSegmentation().GetNthSegmentID(0)
        return read_segment(node, segment_id, self.host.slicer.util.arrayFromVolume(volume), local_affine(volume))


@pytest.fixture
def tab(host, corn_widget):
    """The tab "Segment" of the open module, with the research weights of the tests acknowledged."""
    tab = SegmentTab(host, corn_widget)
    tab.ui.acknowledgeCheckBox.checked = True
    return tab
