"""Run a job's function and turn whatever happens into one picklable outcome."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError
from MaskWhatMattersLib.jobs.context import JobContext
from MaskWhatMattersLib.jobs.hints import hint_for
from MaskWhatMattersLib.jobs.spec import JobSpec, load_function


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a job ended: with a value, with an error, or cancelled."""

    state: Literal["done", "failed", "cancelled"]
    value: Any = None
    error: JobError | InputError | None = None


def execute(spec: JobSpec, context: JobContext, data: Sequence[Any]) -> Outcome:
    """Run the function of a spec.

    Everything it raises becomes part of the outcome, `SystemExit` included: a worker must survive its jobs. Errors of
    other packages become a `JobError` with their text, since their classes may not exist where the outcome is read.

    Raises:
        KeyboardInterrupt: Somebody pressed Ctrl+C in this very process.
    """
    try:
        return Outcome("done", load_function(spec)(spec, context, *data))
    except JobCancelledError:
        return Outcome("cancelled")
    except InputError as error:
        return Outcome("failed", error=_portable(error))
    except JobError as error:
        error.details = error.details or traceback.format_exc()
        return Outcome("failed", error=error)
    except (Exception, SystemExit) as error:
        return Outcome("failed", error=as_job_error(error))


def as_job_error(error: BaseException) -> JobError:
    """A failure that can be shown and sent, whatever was raised."""
    text = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    return JobError(f"The job stopped with an error. {what}", details=traceback.format_exc(), hint=hint_for(error))


def _portable(error: InputError) -> InputError:
    """The error itself, or a plain one with its text when it would not survive the way to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return InputError(str(error))
    return error
