"""A stand-in for the Slicer application, for tests: our modules' widgets over PySide6 offscreen and real MRML.

    from host import start_host

    host = start_host()                                  # one per process; a later call gives the same, cleaned
    volume = host.add_volume(array_kji, "CT", ijk_to_ras)
    widget = host.open_module("MaskWhatMatters")         # load, setup, enter; returns MaskWhatMattersWidget
    widget.ui.applyButton.click()
    host.wait_until(lambda: not widget.running)          # runs the event loop
    host.screenshot(widget, "panel.png")
    host.render_slice(path="red.png")                    # what the module shows in the red slice view
    host.close_scene(); host.reload_module("MaskWhatMatters"); host.close_module("MaskWhatMatters")

Questions are answered in advance and dialogs are recorded:

    host.dialogs.answers.append("cancel")                # next question; "ok", "yes", a button's text, a path
    host.dialogs.shown, host.dialogs.texts("critical")
    host.installations.pretend_missing.add("pydantic")   # then host.installations.requested, .calls

In pytest use the fixture `host` (Testing/widgets and Testing/mrml): it cleans up and fails when a slot raised an error
(`with host.expecting(RuntimeError, "text"):`) or when a question found no answer.

What differs from Slicer: qMRML and CTK widgets are ours (looks, menus and sizes are rough), there are no views, no
Segment Editor, no C++ module panels, and Qt is 6. Modules are written for Slicer, not for this host.
With WHATMATTERS_SLICER_PYTHON naming a folder with Slicer's own Python files, those are used in place of our
ScriptedLoadableModule, parameterNodeWrapper and i18n.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .libraries import explain_missing, missing_packages

if TYPE_CHECKING:
    from .slicer_host import Host

__all__ = ["explain_missing", "missing_packages", "start_host"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_host: Host | None = None


def start_host(folders: Iterable[Path] = ()) -> Host:
    """The host of this process, clean. Modules are looked for in the repository and in `folders`."""
    global _host
    from .slicer_host import Host

    wanted = [Path(folder) for folder in folders]
    if _host is None:
        _host = Host([_REPOSITORY])
    else:
        _host.reset()
    _host.folders = [_REPOSITORY, *wanted]
    return _host
