"""The module's life: opened, scene closed, reloaded, and what it imports."""

from __future__ import annotations


def test_module_opens_with_both_tabs_and_the_shown_volume(corn_widget, heart):
    tabs = corn_widget.ui.tabs
    assert [tabs.tabText(index) for index in range(tabs.count)] == ["Segment", "Adapt to my site"]
    assert corn_widget.ui.inputSelector.currentNode() is heart
    assert corn_widget.adaptUi.CornSegmentationAdapt.parent() is not None
