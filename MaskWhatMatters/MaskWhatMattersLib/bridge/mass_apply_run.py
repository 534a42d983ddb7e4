"""An example applied to targets: encoded once, then one job per target, from the button or the console to the nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.job_queue import JobQueue, Step
from MaskWhatMattersLib.bridge.jobs import runner_for
from MaskWhatMattersLib.bridge.mass_examples import read_examples
from MaskWhatMattersLib.bridge.mass_results import ExampleRow, Existing, example_rows
from MaskWhatMattersLib.bridge.mass_sequences import sequence_rows
from MaskWhatMattersLib.bridge.mass_targets import Target, targets_of
from MaskWhatMattersLib.bridge.nodes import nameless
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.errors import InputError, JobError
from MaskWhatMattersLib.volumes import read_volume

PACKAGES = ("torch", "monai", "safetensors")
"""Import names of what the network needs, beside what every job needs."""


class MassRun(JobQueue):
    """A running or finished application of an example.

    Attributes:
        task: What the network remembers of the examples; None until they are encoded.
        notes: What the user should know, in sentences, as far as it belongs to no single segment.
    """

    def __init__(
        self,
        runner: Any,
        task: Any,
        encode: tuple[Any, Sequence[Any]] | None,
        segment_spec: Any,
        targets: Sequence[Target],
        *,
        is_remote: bool = False,
        **listening: Callable[[Any], None],
    ) -> None:
        """Submit the first job and return; what cannot work raises here.

        Args:
            runner: Runs the jobs.
            task: To be applied; None takes that of the examples.
            encode: Spec and examples; None where there is a task.
            segment_spec: Spec of the job for each target.
            targets: In their order.
            is_remote: Send no names.
            **listening: on_event, on_tick and on_end of `JobQueue`.
        """
        self.task = task
        self.notes: list[str] = list(task.notes) if task is not None else []
        self._file_rows: list[ExampleRow] = []

        def step(target: Target) -> Step:
            def submit() -> Any:
                scan = target.read()
                if is_remote:  # its worker does not see the files of this computer
                    scan = read_volume(scan, replace_nan=segment_spec.replace_nan) if isinstance(scan, Path) else scan
                    scan = nameless(scan)
                return runner.submit(segment_spec, scan, self.task)

            return Step(target.name, submit, lambda result: self._show(target, result), target.fail)

        steps = [step(target) for target in targets]
        if encode is not None:
            spec, examples = encode
            steps.insert(0, Step("", lambda: runner.submit(spec, *examples), self._remember, is_needed=True))
        super().__init__(steps, **listening)

    @property
    def rows(self) -> list[ExampleRow]:
        """The rows of what was made."""
        made = {node.GetID() for node in self.nodes}
        scene = slicer.mrmlScene
        of_nodes = [row for row in [*example_rows(scene), *sequence_rows(scene)] if row.node.GetID() in made]
        return of_nodes + self._file_rows

    @property
    def file_rows(self) -> list[ExampleRow]:
        """Rows of files, which the scene does not hold."""
        return list(self._file_rows)

    def _remember(self, task: Any) -> list[Any]:
        self.task = task
        self.notes += task.notes
        return []

    def _show(self, target: Target, result: Any) -> list[Any]:
        shown = target.show(result)
        self._file_rows += shown.rows
        self.notes += [note for note in shown.notes if note not in self.notes]
        return [node for node in shown.nodes if all(node is not other for other in self.nodes)]


def start_run(
    example_volumes: Any,
    example_labels: Any,
    targets: Any,
    segments: Sequence[str] | None = None,
    *,
    task: Any = None,
    existing: Existing = "keep",
    output: str | Path = "",
    model: str | None = None,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    replace_nan: bool = False,
    scheduler: str = "",
    consent: bool = False,
    tls_files: tuple[str, str, str] = ("", "", ""),
    callbacks: Mapping[str, Callable[[Any], None] | None] | None = None,
) -> MassRun:
    """Start a run on this computer's warm worker, or on a scheduler.

    Args:
        example_volumes: Volume node of the example, or several; None with a task.
        example_labels: What is marked on each: segmentation or label map nodes.
        targets: As `targets_of` takes them; none only encodes the examples.
        segments: Names of the structures that are wanted; None takes all.
        task: A task, or path of a task file, to apply instead of examples.
        existing: "keep", "overwrite" or "lock".
        output: Folder for the results of files.
        model: Name or file of the model; None takes the default, or the one of the task.
        device: "auto", "cpu", "cuda" or "mps".
        settings: Fields of `SegmentSettings` that differ from the default.
        replace_nan: Give voxels without a number the darkest value of the scan.
        scheduler: Address of a Dask scheduler; empty for this computer.
        consent: Agreement to send voxels to the scheduler.
        tls_files: CA, certificate and key of the scheduler.
        callbacks: on_event, on_tick and on_end of `JobQueue`; None where nobody listens.

    Raises:
        InputError: Something cannot be used; said first, because no installation would mend it.
        JobError: A package is missing.
    """
    volumes, labels = _as_list(example_volumes), _as_list(example_labels)
    if task is None:
        _require_pairs(volumes, labels)
    if existing not in ("keep", "overwrite", "lock"):
        raise InputError(f'There is no way "{existing}" to treat existing segments. Choose keep, overwrite or lock.')
    _require_packages(() if scheduler else PACKAGES)
    from MaskWhatMattersLib.config_files import checked_settings
    from MaskWhatMattersLib.jobs.mass_segment_job import MassEncodeSpec, MassSegmentSpec
    from MaskWhatMattersLib.mass.settings import SegmentSettings

    chosen = checked_settings(SegmentSettings, dict(settings or {}), source="settings")
    found = targets_of(
        targets,
        examples=volumes if task is None else (),
        existing=existing,
        output=output,
        replace_nan=replace_nan,
    )
    encode = None
    if task is None:
        pairs = [Pair(volume.GetID(), label.GetID()) for volume, label in zip(volumes, labels, strict=True)]
        examples = read_examples(slicer.mrmlScene, pairs, segments, replace_nan=replace_nan, is_remote=bool(scheduler))
        encode = (MassEncodeSpec(model=model, device=device), examples)
    else:
        task = _given_task(task, segments)
    ca, certificate, key = tls_files
    runner = runner_for(scheduler, consent=consent, tls_ca=ca, tls_cert=certificate, tls_key=key)
    listening = {name: callback for name, callback in (callbacks or {}).items() if callback is not None}
    spec = MassSegmentSpec(model=model, device=device, settings=chosen, replace_nan=0.0 if replace_nan else None)
    return MassRun(runner, task, encode, spec, found, is_remote=bool(scheduler), **listening)


def read_task_file(path: str | Path) -> Any:
    """The task in a file; it knows its model where a tuning left that beside the file.

    Raises:
        InputError: No task file, damaged, or of a version that is not known.
        JobError: A package is missing.
    """
    _require_packages(("safetensors",))
    from MaskWhatMattersLib.cli.mass_task import model_of_task
    from MaskWhatMattersLib.mass.task_files import read_task

    file = Path(path).expanduser()
    task = read_task(file)
    return replace(task, model_file=model_of_task(file, task) or "")


def write_task_file(task: Any, path: str | Path) -> Path:
    """Write a task, without any image.

    Raises:
        InputError: There is no task, or the file cannot be written.
        JobError: A package is missing.
    """
    if task is None:
        raise InputError("There is no task yet. Apply an example first, or load a task file.")
    _require_packages(("safetensors",))
    from MaskWhatMattersLib.mass.task_files import SUFFIX, save_task

    text = str(Path(path).expanduser())
    return save_task(task, text if text.endswith(SUFFIX) else f"{text}{SUFFIX}")


def _given_task(task: Any, segments: Sequence[str] | None) -> Any:
    """The task that was given, with the wanted labels."""
    from MaskWhatMattersLib.mass.task_labels import with_labels

    found = read_task_file(task) if isinstance(task, str | Path) else task
    return found if segments is None else with_labels(found, segments)


def _require_pairs(volumes: Sequence[Any], labels: Sequence[Any]) -> None:
    if None in volumes or None in labels or not volumes or len(volumes) != len(labels):
        raise InputError(
            f"An example is a volume with its segmentation; found {len(volumes) - volumes.count(None)} volumes and "
            f"{len(labels) - labels.count(None)} segmentations. Choose both, or a task file."
        )


def _require_packages(names: Sequence[str]) -> None:
    missing = missing_packages(names)
    if missing:
        raise JobError(
            f"Packages are missing: {', '.join(missing)}.",
            hint="Open the module Mass In Context and press the button in its first line.",
        )


def _as_list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]
