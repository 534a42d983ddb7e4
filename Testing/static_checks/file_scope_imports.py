"""Find imports at file scope that a Slicer without our packages could not satisfy."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

IN_EVERY_SLICER = {"numpy", "SimpleITK", "vtk", "slicer", "qt", "ctk"}
OURS = {"MaskWhatMattersLib", "MaskWhatMatters"}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the file is imported; a `TYPE_CHECKING` block does not."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _statements(statement.orelse)
            continue
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)


def foreign_imports(path: Path) -> list[str]:
    """Top-level packages imported at file scope that are neither ours, nor Python's, nor in every Slicer."""
    found = []
    for statement in _statements(ast.parse(path.read_text(encoding="utf-8")).body):
        names: list[str] = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            names = [statement.module or ""]
        packages = {name.split(".")[0] for name in names}
        found += sorted(packages - IN_EVERY_SLICER - OURS - set(sys.stdlib_module_names))
    return found
