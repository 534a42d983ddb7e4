"""Errors whose text is meant for the person at the keyboard.

Every message says what is wrong, what was found and what to do, in that order.
"""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what to do instead."""


class GeometryError(InputError):
    """The geometry of an image cannot be used, or two grids do not match."""


class ModelFileError(InputError):
    """A model file is broken, unsafe, or made for another network."""


class UnknownConceptError(InputError):
    """A prompt names nothing that a localizer knows.

    Attributes:
        suggestions: Prompts that the localizer does know, nearest first.
    """

    def __init__(self, message: str, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.suggestions = suggestions


class ConsentRequiredError(InputError):
    """An action (download, sending pixels, a research licence) needs the user's yes first."""


class JobError(RuntimeError):
    """A job failed.

    Attributes:
        details: Last lines that the worker printed, and the traceback where there is one.
        hint: One sentence that says what to do.
    """

    def __init__(self, message: str, *, details: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.details = details
        self.hint = hint


class JobCancelledError(Exception):
    """A job was stopped because the user asked for it."""
