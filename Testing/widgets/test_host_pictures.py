"""Panels, slice views and 3D views can be looked at."""

import numpy as np
import pytest


@pytest.fixture
def scan(host):
    """A grey block of 32 x 32 x 20 voxels of 1 x 1 x 2 mm in a dark volume, and where something is in it."""
    array = np.zeros((40, 64, 64), np.int16)
    array[10:30, 16:48, 16:48] = 300
    found = np.zeros(array.shape, np.uint8)
    found[15:25, 20:30, 20:30] = 1
    return host.add_volume(array, "CT", np.diag([1.0, 1.0, 2.0, 1.0])), found


def reddish(picture) -> int:
    return int((picture[..., 0].astype(int) - picture[..., 1] > 60).sum())


def test_slice_view_shows_the_volume_it_was_given(host, scan, screenshots):
    picture = host.render_slice(scan[0], path=screenshots / "host_slice.png", offset_mm=40)
    grey = (picture.max(-1) > 60).mean()
    assert grey == pytest.approx((32 / 64) ** 2, abs=0.02)
    assert reddish(picture) == 0
    assert (screenshots / "host_slice.png").stat().st_size > 500


def test_slice_view_is_dark_beside_the_block(host, scan):
    assert host.render_slice(scan[0], offset_mm=2).max() < 60


def test_overlay_is_blended_over_the_volume(host, scan):
    overlay = host.add_volume(scan[1].astype(np.float32), "relevance", np.diag([1.0, 1.0, 2.0, 1.0]))
    overlay.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRed")
    picture = host.render_slice(scan[0], overlay, offset_mm=40)
    assert reddish(picture) == pytest.approx((10 / 64 * 400) ** 2, rel=0.1)


@pytest.fixture
def segmentation(host, scan):
    node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "found")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(scan[0])
    segment_id = node.GetSegmentation().AddEmptySegment("block", "block", [1.0, 0.0, 0.0])
    host.slicer.util.updateSegmentBinaryLabelmapFromArray(scan[1], node, segment_id, scan[0])
    return node


def test_segment_is_drawn_in_the_slice_view(host, scan, segmentation):
    picture = host.render_slice(scan[0], offset_mm=40)
    assert reddish(picture) == pytest.approx((10 / 64 * 400) ** 2, rel=0.1)


def test_3d_view_shows_the_surface_once_show_3d_is_pressed(host, segmentation, screenshots):
    assert reddish(host.render_3d()) == 0
    button = host.slicer.qMRMLSegmentationShow3DButton()
    button.setSegmentationNode(segmentation)
    button.click()
    assert reddish(host.render_3d(screenshots / "host_3d.png")) > 5000


def test_panel_is_readable(host, screenshots):
    import qt

    widget = host.open_module("HostExample")
    path = host.screenshot(widget, screenshots / "host_panel.png")
    image = qt.QImage(str(path))
    assert (image.width(), image.height()) == (420, 900)
    # Text drawn without a font would be empty boxes, all alike.
    metrics = qt.QFontMetrics(qt.QApplication.font())
    assert metrics.horizontalAdvance("mmmm") > 2 * metrics.horizontalAdvance("iiii")


def test_slice_layers_set_by_slicer_util_are_what_is_rendered(host, scan):
    host.slicer.util.setSliceViewerLayers(background=scan[0], fit=True)
    assert (host.render_slice(offset_mm=40) > 60).any()
