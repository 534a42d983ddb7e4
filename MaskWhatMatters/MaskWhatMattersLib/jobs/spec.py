"""The description of a job: validated settings, and the name of the function that does the work."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from MaskWhatMattersLib.errors import InputError


class JobSpec(BaseModel):
    """Settings of one job. Subclasses add fields and name their function.

    The function is called as `function(spec, context, *data)`; `data` and its result must be picklable. It is named,
    not held, so that the process which asks for the job never imports what only the worker needs.

    Raises:
        InputError: The settings are not valid; the message lists every problem.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: ClassVar[str]
    """Where the work is done, as "package.module:function"."""

    if not TYPE_CHECKING:  # a type checker shall keep seeing the fields as keyword arguments

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise InputError(_explain(type(self).__name__, error)) from error


def load_function(spec: JobSpec) -> Callable[..., Any]:
    """The function that a spec names.

    Raises:
        ImportError: This installation has no such module or function.
    """
    module_name, _, name = spec.function.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module_name), name)
    except AttributeError as error:
        raise ImportError(f"module {module_name!r} has no function {name!r}", name=module_name) from error
    return function


def _explain(name: str, error: ValidationError) -> str:
    problems = [
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']} (found {problem.get('input')!r:.80})"
        for problem in error.errors(include_url=False)
    ]
    return f"The settings of {name} are not valid. {'; '.join(problems)}. Correct them and try again."
