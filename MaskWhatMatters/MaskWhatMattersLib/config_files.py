"""Settings from TOML files, checked against a pydantic model: every problem at once, each with the nearest field."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from MaskWhatMattersLib.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(file: Path, option: str = "--config") -> dict[str, Any]:
    """The content of a TOML file.

    Args:
        file: UTF-8 text.
        option: How the file was given, for the message.

    Raises:
        InputError: The file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The settings file {file} cannot be read: {error.strerror}. Check {option}.") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise InputError(f"{file} is not a TOML file: {error}. Correct it, or leave {option} out.") from error


def read_settings(model: type[Model], file: Path | None, given: Mapping[str, Any] | None = None) -> Model:
    """Settings of a file, each replaced by what was given otherwise; tables are merged field by field.

    Raises:
        InputError: See `read_toml` and `checked_settings`.
    """
    values = read_toml(file) if file is not None else {}
    return checked_settings(model, merged(values, given or {}), source=str(file) if file is not None else "settings")


def merged(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `given` on top; where both hold a table, their fields are merged."""
    together = dict(values)
    for name, value in given.items():
        below = together.get(name)
        is_table = isinstance(below, Mapping) and isinstance(value, Mapping)
        together[name] = merged(below, value) if is_table else value  # type: ignore[arg-type]
    return together


def checked_settings(model: type[Model], values: Mapping[str, Any], *, source: str = "settings") -> Model:
    """The model filled with values.

    Args:
        model: Knows the fields.
        values: As they were read; tables as mappings.
        source: File name for the message.

    Raises:
        InputError: Unknown fields, missing or wrong values; all of them.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(f"{source}: {'; '.join(problems_of(error, model))}.") from error


def problems_of(
    error: ValidationError, model: type[BaseModel], name_of: Callable[[tuple[str, ...]], str] = ".".join
) -> list[str]:
    """Every problem in words.

    Args:
        error: What pydantic found.
        model: The model that it was filling.
        name_of: How the person knows a field, from its path.
    """
    return [_explained(problem, model, name_of) for problem in error.errors(include_url=False)]


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or all that there are where nothing is near."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"there are {', '.join(names) or 'none'}"


def _explained(problem: Any, model: type[BaseModel], name_of: Callable[[tuple[str, ...]], str]) -> str:
    place = tuple(map(str, problem["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not place:
        return message.removesuffix(".")
    if problem["type"] == "extra_forbidden":
        table = _model_at(model, place[:-1])
        where = f"the table [{'.'.join(place[:-1])}]" if place[:-1] else "the settings"
        known = nearest(place[-1], table.model_fields) if table is not None else "see the documentation"
        return f'{where} have no field "{place[-1]}" ({known})'.replace("] have", "] has")
    if problem["type"] in ("missing", "too_short"):
        return f"{name_of(place)} is missing"
    return f"{name_of(place)} {str(problem['input'])[:80]!r} cannot be used: {message.replace('Input', 'it')}"


def _model_at(model: type[BaseModel], place: tuple[str, ...]) -> type[BaseModel] | None:
    """The model of a nested table; None where the path leads through something else."""
    for name in place:
        field = model.model_fields.get(name)
        inside = [] if field is None else [field.annotation, *typing.get_args(field.annotation)]
        models = [each for each in inside if isinstance(each, type) and issubclass(each, BaseModel)]
        if not models:
            return None
        model = models[0]
    return model
