"""The module MassInContext on the host, with jobs on a real worker process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

_HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def mass_models(tmp_path_factory):
    """Cards of models in a user folder of their own, and jobs that act by their names: the panel needs no network."""
    from MaskWhatMattersLib.models import ModelCard, TrainingData, default_user_folder

    end_workers()  # one of other tests would look into the real folder
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))
        patch.setenv("PYTHONPATH", str(_HERE), prepend=os.pathsep)
        patch.syspath_prepend(str(_HERE))
        default_user_folder().mkdir(parents=True)
        for name in ("mass-tiny", "our-site", "slow", "killed", "wrong", "notes"):
            card = ModelCard(
                name=name,
                version="0.0.1",
                architecture="mass",
                training_data=(
                    TrainingData(name="made up", licence="none", research_only=name == "our-site", cases=3),
                ),
                licence="for tests",
                research_only=name == "our-site",
            )
            (default_user_folder() / f"{name}.json").write_text(card.model_dump_json())
            (default_user_folder() / f"{name}.safetensors").touch()
        yield default_user_folder()
        end_workers()


@pytest.fixture
def probe_job(mass_models, monkeypatch):
    """The jobs without a network in place of the real ones."""
    from probe_mass_job import ProbeEncodeSpec, ProbeSegmentSpec

    from MaskWhatMattersLib.jobs import mass_segment_job

    monkeypatch.setattr(mass_segment_job, "MassEncodeSpec", ProbeEncodeSpec)
    monkeypatch.setattr(mass_segment_job, "MassSegmentSpec", ProbeSegmentSpec)


def end_workers() -> None:
    """End the worker that earlier tests left warm, if any did."""
    jobs = sys.modules.get("MaskWhatMattersLib.bridge.jobs")
    if jobs is not None:
        jobs.close_runners()


@pytest.fixture
def add_scan(host):
    """Function that adds a scan: a bright ball beside a smaller grey one in noise, on oblique axes, voxels of 2 mm."""

    def add(name="scan", seed=0):
        a = np.radians(20)
        turned = np.array([[-np.cos(a), np.sin(a), 0], [-np.sin(a), -np.cos(a), 0], [0, 0, 1]])
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = 2.0 * turned, (5, -7, 3)
        return host.add_volume(_array(seed), name, affine)

    return add


def _array(seed):
    z, y, x = np.ogrid[-1:1:20j, -1:1:28j, -1:1:32j]
    array = np.random.default_rng(seed).normal(150, 10, (20, 28, 32))
    array[z**2 + y**2 + (x - 0.4) ** 2 < 0.16 + 0.03 * seed] = 600
    array[z**2 + y**2 + (x + 0.6) ** 2 < 0.05] = 400
    return array.astype(np.float32)


@pytest.fixture
def add_marks(host):
    """Function that marks the balls of a scan as segments."""
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.segmentations import add_segment

    def add(scan, names=("Liver", "Spleen"), name="marks"):
        node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
        array = host.slicer.util.arrayFromVolume(scan)
        masks = (array > 500, (array > 300) & (array < 500))
        colors = ((0.8, 0.2, 0.1), (0.2, 0.4, 0.9))
        for segment, mask, color in zip(names, masks, colors, strict=False):
            add_segment(node, segment, mask, local_affine(scan), color)
        return node

    return add


@pytest.fixture
def example(add_scan, add_marks):
    """A scan with its marks."""
    scan = add_scan("example")
    return scan, add_marks(scan)


@pytest.fixture
def target(example, add_scan):
    """Another scan, without marks."""
    return add_scan("target", 1)


@pytest.fixture
def logic(host, probe_job):
    """The module's logic without its panel."""
    host.load_module("MassInContext")
    import MassInContext

    return MassInContext.MassInContextLogic()


@pytest.fixture
def mass_widget(host, target, probe_job):
    """The open module, with an example and a target in the scene."""
    widget = host.open_module("MassInContext")
    host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)
    yield widget
    if widget.apply is not None and widget.apply.run is not None:
        widget.apply.run.cancel()


class ApplyTab:
    """What a test does with the tab."""

    def __init__(self, host, widget) -> None:
        self.host, self.widget, self.ui = host, widget, widget.ui

    @property
    def state(self) -> str:
        return self.widget.apply.job.state

    @property
    def tip(self) -> str:
        """What Apply says."""
        return self.ui.applyButton.toolTip

    def choose(self, combo, data) -> None:
        combo.setCurrentIndex(combo.findData(data))

    def tick(self, widget, name, ticked=True) -> None:
        """Tick the entry of this name."""
        import qt

        items = [widget.item(index) for index in range(widget.count)]
        item = next(item for item in items if item.text() == name)
        item.setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        self.settle()

    def ticks(self, widget) -> dict:
        import qt

        items = [widget.item(index) for index in range(widget.count)]
        return {item.text(): item.checkState() == qt.Qt.Checked for item in items}

    def settle(self) -> None:
        self.host.process_events()
        self.host.process_events()

    def tick_all(self, *names) -> None:
        """Tick all targets, once these are offered."""
        self.host.wait_until(lambda: set(names) <= set(self.ticks(self.ui.targetList)))
        self.ui.tickAllButton.click()
        self.settle()

    def click(self) -> None:
        assert self.ui.applyButton.enabled, self.tip
        self.ui.applyButton.click()

    def apply(self) -> None:
        """Apply and wait for the end."""
        self.click()
        self.wait()

    def wait(self) -> None:
        self.host.wait_until(lambda: not self.widget.apply.job.is_busy, 60)

    def wait_for(self, *states: str, seconds: float = 60) -> None:
        self.host.wait_until(lambda: self.state in states, seconds)

    def table(self, columns=4) -> list[list[str]]:
        table = self.ui.resultTable
        return [[table.item(row, column).text() for column in range(columns)] for row in range(table.rowCount)]

    def nodes(self, class_name: str = "vtkMRMLSegmentationNode") -> list:
        return self.host.slicer.util.getNodesByClass(class_name)


@pytest.fixture
def tab(host, mass_widget):
    """The tab "Apply example" of the open module."""
    return ApplyTab(host, mass_widget)


@pytest.fixture
def sequence(host, add_scan):
    """Three scans as a sequence, in a browser of its own."""
    slicer = host.slicer
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
    for index in range(3):
        scan = add_scan(f"frame {index}", index)
        node.SetDataNodeAtValue(scan, str(10 * index))
        slicer.mrmlScene.RemoveNode(scan)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "4D browser")
    browser.SetAndObserveMasterSequenceNodeID(node.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return node
