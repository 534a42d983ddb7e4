"""One typed wrapper per parameter node, kept alive as long as its node.

Slicer's wrapper leaves an observer on the node when widgets were connected to it; a wrapper that is thrown away, as
when a module is reloaded or a second window is opened, would be called after its end.
"""

from __future__ import annotations

from typing import Any

_kept: list[Any] = []


def wrapper_of(node: Any, wrapper_class: Any) -> Any:
    """The wrapper of a parameter node; the same one for every caller.

    Args:
        node: vtkMRMLScriptedModuleNode.
        wrapper_class: Class made by `parameterNodeWrapper`; a reloaded module has a new one.
    """
    _kept[:] = [kept for kept in _kept if kept.parameterNode.GetScene() is not None]
    for kept in _kept:
        if kept.parameterNode is node and type(kept) is wrapper_class:
            return kept
    wrapper = wrapper_class(node)
    _kept.append(wrapper)
    return wrapper
