"""Parameters are typed, checked and stored as Slicer stores them."""

import enum
from pathlib import Path
from typing import Annotated

import pytest


class Mode(enum.Enum):
    FAST = "f"
    BEST = "b"


@pytest.fixture
def parameters(host):
    """A parameter node with one value of each kind."""
    from slicer import vtkMRMLScalarVolumeNode
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        count: int
        ratio: Annotated[float, WithinRange(0, 1), Default(0.5)]
        localizer: Annotated[str, Choice(["builtin", "roi"]), Default("builtin")]
        mode: Mode = Mode.BEST
        folder: Path
        volume: vtkMRMLScalarVolumeNode
        others: list[vtkMRMLScalarVolumeNode]
        prompts: list[str]

    Parameters.__annotations__  # noqa: B018  (kept by the decorator)
    return Parameters(host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_defaults_are_written_at_once(parameters):
    assert (parameters.count, parameters.ratio, parameters.localizer, parameters.mode) == (0, 0.5, "builtin", Mode.BEST)
    assert parameters.parameterNode.GetParameter("mode") == "BEST"
    assert parameters.volume is None


def test_values_come_back_with_their_types(parameters, tmp_path):
    parameters.count, parameters.mode, parameters.folder = 7, Mode.FAST, tmp_path
    again = type(parameters)(parameters.parameterNode)
    assert (again.count, again.mode, again.folder) == (7, Mode.FAST, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("ratio", 1.5), ("localizer", "other"), ("count", "7"), ("prompts", [1])])
def test_wrong_values_are_refused_and_change_nothing(parameters, name, value):
    before = parameters.getValue(name)
    with pytest.raises((ValueError, TypeError)):
        parameters.setValue(name, value)
    assert parameters.getValue(name) == before


def test_lists_write_themselves_back(parameters):
    parameters.prompts = ["liver"]
    parameters.prompts.append("spleen")
    del parameters.prompts[0]
    assert parameters.prompts == ["spleen"]
    assert parameters.parameterNode.GetParameter("prompts_len") == "1"
    assert not parameters.parameterNode.HasParameter("prompts_1")


def test_removed_node_becomes_none(host, parameters):
    node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    parameters.volume = node
    parameters.others = [node]
    assert parameters.volume is node
    assert list(parameters.others) == [node]
    host.slicer.mrmlScene.RemoveNode(node)
    assert parameters.volume is None


def test_unknown_parameter_names_those_there_are(parameters):
    with pytest.raises(ValueError, match="count"):
        parameters.getValue("cuont")


def test_widget_class_has_to_match_the_type(host, parameters):
    import qt

    with pytest.raises(RuntimeError, match="QLineEdit"):
        parameters.connectParametersToGui({"count": qt.QLineEdit()})


def test_disconnected_widget_is_left_alone(host, parameters):
    import qt

    box = qt.QSpinBox()
    tag = parameters.connectParametersToGui({"count": box})
    parameters.count = 3
    parameters.disconnectGui(tag)
    parameters.count = 4
    assert box.value == 3
    box.value = 9
    assert parameters.count == 4


def test_dropped_wrapper_leaves_nothing_on_its_node(host, parameters):
    import gc

    import qt

    node, box = parameters.parameterNode, qt.QSpinBox()
    wrapper = type(parameters)(node)
    wrapper.disconnectGui(wrapper.connectParametersToGui({"count": box}))
    del wrapper
    gc.collect()
    node.SetParameter("count", "5")
    assert box.value == 0
    assert not node.HasObserver("ModifiedEvent")
