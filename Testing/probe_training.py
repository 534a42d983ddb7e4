"""A runner that keeps what it is given, and what can be read in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from MaskWhatMattersLib.errors import JobError


class KeptRunner:
    """Computes nothing: a test looks at `spec` and `data`, which would have been sent."""

    spec: Any = None
    data: tuple[Any, ...] = ()

    def submit(self, spec: Any, *data: Any) -> Any:
        if not self.data:
            self.spec, self.data = spec, data
        raise JobError("Nothing is computed here.")


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, Mapping):
        yield from texts_in(list(value.items()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts_in(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from texts_in(getattr(value, field.name))
    elif not isinstance(value, int | float | bool | type(None)) and not hasattr(value, "dtype"):
        yield str(value)
