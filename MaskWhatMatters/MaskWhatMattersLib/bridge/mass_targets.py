"""What an example is applied to: volumes of the scene, frames of a sequence, or files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from MaskWhatMattersLib.bridge.job_queue import NodeInQueue
from MaskWhatMattersLib.bridge.mass_results import (
    ExampleRow,
    Existing,
    holds_surfaces,
    is_of_sequence,
    present_segmentation,
    show_result,
)
from MaskWhatMattersLib.bridge.mass_sequences import frame_name, read_frame, require_volumes, show_frame
from MaskWhatMattersLib.bridge.nodes import Node, node_from_volume, require_voxels, volume_from_node
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, base_name, read_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.result import InContextSegmentation


@dataclass(frozen=True)
class Shown:
    """What became of a result.

    Attributes:
        nodes: That were made or updated.
        rows: Of files, which have no nodes.
        notes: What the user should know, in sentences.
    """

    nodes: list[Any]
    rows: tuple[ExampleRow, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """One scan that waits.

    Attributes:
        name: What the user calls it.
        read: Gives the scan, or the file that a worker on this computer reads itself, so that nobody waits for it.
        show: Takes the job's result.
        fail: Told why there is no result.
    """

    name: str
    read: Callable[[], Volume | Path]
    show: Callable[[InContextSegmentation], Shown]
    fail: Callable[[Exception], None] = lambda error: None


def targets_of(
    given: Any,
    *,
    examples: Sequence[Node] = (),
    existing: Existing = "keep",
    output: str | Path = "",
    replace_nan: bool = False,
) -> list[Target]:
    """What the user named, one by one.

    Args:
        given: Volume node, sequence node, file, folder, or a list of these; an empty list is nothing.
        examples: Volume nodes of the examples: none of them may be a target.
        existing: What happens to segments that are there.
        output: Folder for the results of files.
        replace_nan: Give voxels of nodes that are no number the darkest value of the scan.

    Raises:
        InputError: Something cannot be a target.
    """
    is_one = isinstance(given, str | Path) or hasattr(given, "GetID") or given is None
    found = [given] if is_one else list(given)
    files = [Path(one).expanduser() for one in found if isinstance(one, str | Path)]
    targets: list[Target] = []
    for node in found:
        if isinstance(node, str | Path):
            continue
        if node is not None and node.IsA("vtkMRMLSequenceNode"):
            targets += _frames(node, existing, replace_nan)
            continue
        if len(found) == 1 or node is None:
            require_voxels(node)
        if any(node is example for example in examples):
            raise InputError(
                f'"{node.GetName()}" is the example itself. Leave it out of the targets, or choose another example.'
            )
        targets.append(_volume(node, existing, replace_nan))
    return targets + (_files(files, output) if files else [])


def _volume(node: Node, existing: Existing, replace_nan: bool) -> Target:
    scan = NodeInQueue.of(node)
    looked_at: list[int] = []  # when the voxels that were read had been written

    def read() -> Volume:
        looked_at[:] = [_written_at(scan.find())]
        return volume_from_node(scan.find(), replace_nan=replace_nan)

    def show(result: InContextSegmentation) -> Shown:
        if _written_at(scan.find()) not in looked_at:
            raise InputError(
                f'The voxels of "{scan.name}" changed while it was worked on, so nothing was added for it. Press Apply '
                "again; of a sequence, choose the sequence instead of the volume that shows its frames."
            )
        segmentation, kept = show_result(scan.find(), result, existing)
        notes = [f"{scan.name}: {', '.join(kept)} is locked and stays as it was."] if kept else []
        drawn = present_segmentation(scan.find(), [label.label.name for label in result.labels])
        if existing != "keep" and drawn is not None and holds_surfaces(drawn):
            notes.append(f'{scan.name}: "{drawn.GetName()}" holds surfaces, so what was found is beside it.')
        if is_of_sequence(scan.find()):
            notes.append(f"{scan.name} is one frame of a sequence: choose the sequence to segment all of them.")
        return Shown([segmentation], notes=tuple(notes))

    return Target(scan.name, read, show)


def _written_at(node: Node) -> int:
    """When the voxels of a volume were written; VTK's time stamps never repeat, also not for other voxels."""
    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    return int(scalars.GetMTime()) if scalars is not None else 0


def _frames(sequence: Node, existing: Existing, replace_nan: bool) -> list[Target]:
    count = require_volumes(sequence)
    queued = NodeInQueue.of(sequence)

    def frame(index: int) -> Target:
        return Target(
            frame_name(sequence, index),
            lambda: read_frame(queued.find(), index, replace_nan),
            lambda result: Shown(show_frame(queued.find(), index, result, existing)),
        )

    return [frame(index) for index in range(count)]


def _files(paths: Sequence[Path], output: str | Path) -> list[Target]:
    """Files and folders; their results are those of the command line."""
    from MaskWhatMattersLib.cli.inputs import Scan, check_apart, check_output, find_scans
    from MaskWhatMattersLib.cli.mass_segment_report import MassResults

    if not str(output).strip():
        raise InputError("There is no folder for the results of the files. Choose one apart from the scans.")
    folder = Path(output).expanduser()
    scans = find_scans(paths, "mass segment")
    check_apart(folder, paths)
    check_output(folder, paths)
    results = MassResults(folder)

    def target(scan: Scan) -> Target:
        def show(result: InContextSegmentation) -> Shown:
            results.add(scan, result)
            results.close()
            return Shown([], _rows_of_file(scan.path, results.output / scan.folder / f"{scan.name}.nii.gz", result))

        def fail(error: Exception) -> None:
            results.add_failure(scan, str(error))
            results.close()

        return Target(scan.path.name, scan.path.absolute, show, fail)

    return [target(scan) for scan in scans]


def _rows_of_file(scan: Path, label_map: Path, result: InContextSegmentation) -> tuple[ExampleRow, ...]:
    nothing = Volume(np.zeros((1, 1, 1, 1), np.uint8), np.eye(4))
    small = replace(result, label_map=nothing, probabilities=None)  # the file has the voxels

    def load() -> tuple[Node, Node]:
        volume = read_volume(scan, replace_nan=0.0)  # as it was looked at; else there would be no result
        volume_node = node_from_volume(slicer.mrmlScene, volume, base_name(scan))
        values = read_volume(label_map)
        return volume_node, show_result(volume_node, replace(small, label_map=values))[0]

    return tuple(
        ExampleRow(
            target=scan.name,
            segment=found.label.name,
            volume_ml=found.volume_ml,
            quality=None if math.isnan(found.quality) else found.quality,
            notes=(*found.notes, *result.notes),
            model=result.model,
            file=str(scan),
            load=load,
        )
        for found in result.labels
    )
