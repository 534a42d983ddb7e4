"""A job is a validated spec and a pure function; runners do it inline, on a local worker, or on any Dask scheduler.

Importing this needs pydantic; Dask is imported by the thread that starts a worker, never by the caller's.
"""

from MaskWhatMattersLib.jobs.context import JobContext
from MaskWhatMattersLib.jobs.events import Event
from MaskWhatMattersLib.jobs.job import Job
from MaskWhatMattersLib.jobs.local import LocalWorkerRunner
from MaskWhatMattersLib.jobs.runner import InlineRunner, Runner
from MaskWhatMattersLib.jobs.scheduler import SchedulerRunner
from MaskWhatMattersLib.jobs.spec import JobSpec

__all__ = ["Event", "InlineRunner", "Job", "JobContext", "JobSpec", "LocalWorkerRunner", "Runner", "SchedulerRunner"]
