"""Values on their way between processes: pickled here, so that one which cannot travel breaks nothing."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MaskWhatMattersLib.errors import JobError


@dataclass(frozen=True, eq=False)
class Parcel:
    """A pickled value whose large arrays lie beside it, uncopied."""

    content: bytes
    buffers: list[npt.NDArray[np.uint8]]


def pack(value: Any, what: str) -> Parcel:
    """Pickle a value without copying its arrays.

    Args:
        value: Anything that pickle takes.
        what: What it is, for the message.

    Raises:
        JobError: It cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        content = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        raise JobError(
            f"{what} cannot be sent to another process. {type(error).__name__}: {error}.",
            hint="This is a fault of the job's code, not of your input: report it.",
        ) from error
    return Parcel(content, [np.frombuffer(buffer.raw(), dtype=np.uint8) for buffer in buffers])


def unpack(parcel: Parcel) -> Any:
    """The value that was packed; its arrays share memory with the parcel."""
    return pickle.loads(parcel.content, buffers=parcel.buffers)
