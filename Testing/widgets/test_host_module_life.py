"""A module in the shape of Slicer's template lives through everything that Slicer does to it."""

import numpy as np
import pytest


@pytest.fixture
def volumes(host):
    """Two volumes: one with a gradient along i, one empty."""
    ramp = np.broadcast_to(np.arange(20, dtype=np.int16) * 20, (5, 10, 20)).copy()
    return host.add_volume(ramp, "CT"), host.add_volume(np.zeros_like(ramp), "mask")


@pytest.fixture
def widget(host, volumes):
    return host.open_module("HostExample")


def test_apply_is_enabled_once_both_nodes_are_chosen(widget, volumes):
    assert not widget.ui.applyButton.enabled
    assert widget.ui.applyButton.toolTip == "Select input and output volume"
    widget.ui.outputSelector.setCurrentNode(volumes[1])
    assert widget.ui.applyButton.enabled


def test_click_calls_the_logic(host, widget, volumes):
    widget.ui.outputSelector.setCurrentNode(volumes[1])
    widget.ui.applyButton.click()
    np.testing.assert_array_equal(
        host.slicer.util.arrayFromVolume(volumes[1]), host.slicer.util.arrayFromVolume(volumes[0]) > 100
    )


def test_parameter_node_follows_the_widgets(widget):
    widget.ui.thresholdSlider.value = 42.5
    widget.ui.invertBox.checked = True
    widget.ui.sideBox.currentText = "RIGHT"
    node = widget._parameterNode
    assert (node.threshold, node.invert, node.side.name) == (42.5, True, "RIGHT")


def test_widgets_follow_the_parameter_node(widget, volumes):
    widget._parameterNode.threshold = 250
    widget._parameterNode.inputVolume = volumes[1]
    widget._parameterNode.title = "other"
    assert widget.ui.thresholdSlider.value == 250
    assert widget.ui.inputSelector.currentNode() is volumes[1]
    assert widget.ui.titleEdit.text == "other"


def test_selector_without_connection_gets_no_scene(widget):
    assert widget.ui.unconnectedSelector.nodeCount() == 0


def test_closing_the_scene_rebuilds_the_panel(host, widget):
    widget.ui.thresholdSlider.value = 7
    host.close_scene()
    assert widget._parameterNode.threshold == 100
    assert widget.ui.thresholdSlider.value == 100
    assert not widget.ui.applyButton.enabled


@pytest.mark.parametrize("name", ["scene.mrml", "scene.mrb"])
def test_parameters_survive_saving_and_loading_the_scene(host, widget, volumes, tmp_path, name):
    widget.ui.thresholdSlider.value = 33
    widget.ui.outputSelector.setCurrentNode(volumes[1])
    widget._parameterNode.history = ["first", "second"]
    for volume in volumes:
        host.slicer.util.saveNode(volume, str(tmp_path / f"{volume.GetName()}.nrrd"))
    host.save_scene(tmp_path / name)
    host.load_scene(tmp_path / name)
    assert widget._parameterNode.threshold == 33
    assert widget._parameterNode.history == ["first", "second"]
    assert widget.ui.outputSelector.currentNode().GetName() == "mask"


def test_leaving_and_coming_back_keeps_the_parameters(host, widget):
    widget.ui.thresholdSlider.value = 12
    host.leave_module("HostExample")
    assert widget._parameterNode is None
    assert host.open_module("HostExample") is widget
    assert widget._parameterNode.threshold == 12


def test_reload_builds_a_new_widget_that_hears_the_scene_alone(host, widget):
    widget.ui.thresholdSlider.value = 12
    reloaded = host.reload_module("HostExample")
    assert reloaded is not widget
    assert reloaded._parameterNode.threshold == 12
    host.close_scene()
    assert widget._parameterNode is None


def test_second_window_shares_the_parameter_node(host, widget):
    second = host.second_window("HostExample")
    widget.ui.thresholdSlider.value = 64
    assert second.ui.thresholdSlider.value == 64


def test_closed_module_observes_nothing(host, widget):
    host.close_module("HostExample")
    host.close_scene()
    assert widget.Observations == []


def test_error_is_shown_with_its_message(host, widget, volumes):
    widget.ui.outputSelector.setCurrentNode(volumes[0])
    with host.expecting(ValueError):
        widget.ui.applyButton.click()
    assert host.dialogs.texts("critical") == ["Thresholding failed.\n\nInput and output are the same volume"]


def test_in_testing_mode_no_error_is_shown(host, widget, volumes):
    host.testing = True
    widget.ui.outputSelector.setCurrentNode(volumes[0])
    with host.expecting(ValueError):
        widget.ui.applyButton.click()
    assert host.dialogs.shown == []


def test_module_that_is_not_there_names_the_folders(host):
    with pytest.raises(FileNotFoundError, match="fixtures"):
        host.open_module("NoSuchModule")
