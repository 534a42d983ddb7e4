"""PySide6 under the host follows PythonQt's rules, so that code which runs here can run in Slicer."""

import pytest


@pytest.fixture
def button(host):
    import qt

    return qt.QPushButton("Apply")


def test_properties_are_attributes(button):
    button.enabled = False
    button.toolTip = "not ready"
    assert (button.text, button.enabled, button.toolTip) == ("Apply", False, "not ready")


def test_calling_a_property_is_a_type_error(button):
    with pytest.raises(TypeError):
        button.text()


def test_unknown_attribute_is_refused(button):
    with pytest.raises(AttributeError, match="enabeld"):
        button.enabeld = True


def test_python_subclass_may_have_attributes_of_its_own(host):
    import qt

    class Panel(qt.QWidget):
        pass

    panel = Panel()
    panel.answer = 42
    assert panel.answer == 42


def test_read_only_property_is_refused(host):
    import qt

    with pytest.raises(AttributeError, match="not writable"):
        qt.QTimer().active = True


def test_value_of_the_wrong_kind_is_refused(button, tmp_path):
    with pytest.raises(AttributeError, match="does not accept"):
        button.text = tmp_path


def test_slots_get_as_many_arguments_as_they_take(button):
    got = []
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("clicked(bool)", lambda checked: got.append(checked))
    button.click()
    assert got == ["none", False]


def test_disconnected_slot_is_not_called(button):
    got = []

    def slot():
        got.append(1)

    button.connect("clicked()", slot)
    assert button.disconnect("clicked()", slot)
    button.click()
    assert got == []


def test_signal_that_does_not_exist_is_an_error(button):
    with pytest.raises(ValueError, match="clickd"):
        button.connect("clickd()", print)


def test_error_in_a_slot_is_recorded_and_does_not_reach_the_sender(host, button):
    button.connect("clicked()", lambda: 1 / 0)
    with host.expecting(ZeroDivisionError, "division"):
        button.click()


def test_escaped_error_fails_the_test_that_caused_it(host, button):
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        host.check_nothing_escaped()
    host.escaped.clear()


def test_enums_are_integers(host):
    import qt

    assert qt.Qt.AlignLeft | qt.Qt.AlignTop == 33
    assert isinstance(qt.QMessageBox.Ok, int)


def test_timer_keeps_its_static_method_beside_the_property(host):
    import qt

    fired = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.connect("timeout()", lambda: fired.append("timer"))
    timer.start(1)
    qt.QTimer.singleShot(1, lambda: fired.append("static"))
    host.wait_until(lambda: sorted(fired) == ["static", "timer"])


@pytest.mark.parametrize("name", ["Signal", "QThread", "QNoSuchWidget"])
def test_what_pythonqt_lacks_or_slicer_forbids_is_not_in_qt(host, name):
    import qt

    with pytest.raises(AttributeError, match=name):
        getattr(qt, name)


def test_clipboard_and_settings_are_the_hosts_own(host):
    import qt
    import slicer

    slicer.app.clipboard().setText("report")
    qt.QSettings().setValue("WhatMatters/prompts", "liver")
    assert qt.QApplication.clipboard().text() == "report"
    assert slicer.util.settingsValue("WhatMatters/prompts", "") == "liver"
    assert qt.QSettings().fileName().startswith(str(host.folder))
