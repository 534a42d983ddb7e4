"""A .ui file is loaded as Slicer loads it, or refused with the reason."""

import pytest

PAGE = """<ui version="4.0"><class>Page</class>
<widget class="qMRMLWidget" name="Page"><layout class="QVBoxLayout" name="rows"><item>
<widget class="{cls}" name="child">{properties}</widget></item></layout></widget>
<customwidgets><customwidget><class>qMRMLWidget</class><extends>QWidget</extends></customwidget>
<customwidget><class>{cls}</class><extends>QPushButton</extends></customwidget></customwidgets>
<connections><connection><sender>{sender}</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>child</receiver><slot>{slot}(vtkMRMLScene*)</slot></connection></connections></ui>"""


@pytest.fixture
def load(host, tmp_path):
    """Function that loads a page with one child widget."""

    def load(cls="qMRMLNodeComboBox", properties="", sender="Page", slot="setMRMLScene"):
        path = tmp_path / "Page.ui"
        path.write_text(PAGE.format(cls=cls, properties=properties, sender=sender, slot=slot))
        return host.slicer.util.loadUI(str(path))

    return load


def test_children_get_the_scene_through_the_connection(host, load):
    page = load()
    child = host.slicer.util.childWidgetVariables(page).child
    assert child.mrmlScene() is None
    page.setMRMLScene(host.slicer.mrmlScene)
    assert child.mrmlScene() is host.slicer.mrmlScene


def test_unknown_widget_class_is_an_error_and_not_its_base_class(load):
    with pytest.raises(RuntimeError, match="qMRMLNoSuchButton"):
        load(cls="qMRMLNoSuchButton")


def test_unknown_property_is_an_error(load):
    with pytest.raises(RuntimeError, match="noneEnabeld"):
        load(properties='<property name="noneEnabeld"><bool>true</bool></property>')


def test_connection_to_a_missing_widget_is_an_error(load):
    with pytest.raises(RuntimeError, match="Pge"):
        load(sender="Pge")


def test_connection_to_a_missing_slot_is_an_error(load):
    with pytest.raises(RuntimeError, match="setMRMLSceen"):
        load(slot="setMRMLSceen")


def test_missing_file_is_an_error(host):
    with pytest.raises(RuntimeError, match="file not found"):
        host.slicer.util.loadUI("/nowhere/Page.ui")


def test_children_are_no_attributes_of_the_page(load):
    assert not hasattr(load(), "child")
