"""The part of a job that runs inside a Dask worker."""

from __future__ import annotations

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.jobs.context import JobContext
from MaskWhatMattersLib.jobs.events import Event
from MaskWhatMattersLib.jobs.execution import Outcome, as_job_error, execute
from MaskWhatMattersLib.jobs.parcels import Parcel, pack, unpack

_cancelled: set[str] = set()  # ids of jobs that shall stop; a set lookup per step is all that a running job pays


def run_parcel(job_id: str, topic: str, parcel: Parcel) -> Parcel:
    """Do the job and report it under a Dask topic, from the thread in which Dask runs tasks.

    Args:
        job_id: Of the job.
        topic: Under which its events are sent.
        parcel: Spec and data, a pair.

    Returns:
        The outcome, packed.
    """
    from distributed import get_worker

    worker = get_worker()

    def send(event: Event) -> None:
        worker.log_event(topic, {"job": job_id, "event": event.to_dict()})

    worker.log_event(topic, {"job": job_id, "began_on": worker.address})
    try:
        spec, data = unpack(parcel)
        outcome = execute(spec, JobContext(send, lambda: job_id in _cancelled), data)
        return pack(outcome, "The job's result")
    except JobError as error:
        return pack(Outcome("failed", error=error), "The error")
    except Exception as error:  # what was sent cannot be read here
        return pack(Outcome("failed", error=as_job_error(error)), "The error")
    finally:
        _cancelled.discard(job_id)
        worker.log_event(topic, {"job": job_id, "ended": True})


def request_cancel(job_id: str) -> None:
    """Make a job of this worker stop at its next step. Runs in the worker's own loop, beside the job."""
    _cancelled.add(job_id)
