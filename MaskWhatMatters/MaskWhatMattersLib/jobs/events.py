"""What a running job tells the person: one small value per message."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Event:
    """One message of a job.

    Attributes:
        kind: "stage" when a stage begins, "progress" when it advances, "log" for a line of text.
        stage: What is being done, in words.
        step: Steps done in this stage.
        total: Steps in this stage; 0 when unknown.
        elapsed_s: Time since the job began, s.
        remaining_s: Estimated time to the end of this stage, s; None while it cannot be told.
        message: The log line, or a remark on the step.
    """

    kind: Literal["stage", "progress", "log"]
    stage: str = ""
    step: int = 0
    total: int = 0
    elapsed_s: float = 0.0
    remaining_s: float | None = None
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: Dask sends events as msgpack."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Event:
        """The event that `to_dict` described."""
        return cls(**values)
