"""The module CornSegmentation on the host, with real jobs on a real worker process and tiny models made for tests."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def heart(host):
    """A volume with oblique axes and a bright ball in it, shown in the slice views."""
    a = np.radians(20)
    affine = np.array([[-np.cos(a), np.sin(a), 0, 5], [-np.sin(a), -np.cos(a), 0, -7], [0, 0, 1.5, 3], [0, 0, 0, 1]])
    grid = np.ogrid[-1:1:16j, -1:1:28j, -1:1:24j]
    ball = 400 * (sum(axis**2 for axis in grid) < 0.3)
    array = np.random.default_rng(0).normal(100, 10, (16, 28, 24)) + ball
    return host.add_volume(array.astype(np.float32), "heart", affine)


@pytest.fixture
def corn_widget(host, heart):
    """The open module; `.segment` and `.adapt` are its two panels, `.ui` and `.adaptUi` their widgets."""
    yield host.open_module("CornSegmentation")
    from MaskWhatMattersLib.bridge.jobs import close_runners

    close_runners()
