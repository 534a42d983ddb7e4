"""The work of `whatmatters mass proposals`: one job per scan, files of proposals, and a report of their sizes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from MaskWhatMattersLib.cli.batch import Batch, Place, run_batch
from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED
from MaskWhatMattersLib.cli.display import make_display
from MaskWhatMattersLib.cli.inputs import Scan, check_apart, check_output, find_scans
from MaskWhatMattersLib.cli.result_files import ResultFolder, write_json, write_nifti
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.mass_proposals_job import MassProposalsSpec
from MaskWhatMattersLib.mass.proposals.config import SupervoxelConfig
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS, SUFFIX
from MaskWhatMattersLib.volumes import read_volume, require_same_grid

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.mass_proposals_job import ProposedMasks
    from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet
    from MaskWhatMattersLib.volumes import Volume

_REPORT = "report.json"
_SIZES_ML = (1.0, 10.0, 100.0)


def propose(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names in `mass_proposals.add_parser`.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    inputs, output = given["inputs"], given["output"]
    spec = _spec(given)
    scans = find_scans(inputs, "mass proposals")
    data = _segments(given["segments"], scans, given)
    check_apart(output, inputs)
    check_output(output, inputs)
    results = _Results(output, spec.method)
    batch = Batch(spec, data, results.add, results.fail, given["replace_nan"], given["modality"])
    stream = sys.stderr if given["json"] else sys.stdout
    try:
        with make_display(len(scans), quiet=given["quiet"], verbose=given["verbose"], stream=stream) as display:
            run_batch(scans, batch, Place(**{name: given[name] for name in Place._fields}), display)
    finally:
        results.close()
    if given["json"]:
        print(json.dumps(results.entries, indent=2))
    if not given["quiet"]:
        print(results.summary(), file=stream)
    return SOME_FAILED if results.failed else DONE


def by_size(proposals: ProposalSet) -> dict[str, int]:
    """Number of proposals from one size to the next, mL."""
    names = [f"under {_SIZES_ML[0]:g} mL"]
    names += [f"{low:g} to {high:g} mL" for low, high in pairwise(_SIZES_ML)]
    names += [f"from {_SIZES_ML[-1]:g} mL"]
    counts = np.bincount(np.digitize(proposals.volume_ml, _SIZES_ML), minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


class _Results:
    """Writes the proposals of each scan as they are made, and the report at the end.

    Args:
        output: Folder of the results; exists.
        method: What proposes.
    """

    def __init__(self, output: Path, method: str) -> None:
        self.output, self.method = output, method
        self.entries: list[dict[str, Any]] = []
        self.failed = 0
        with ResultFolder(output) as folder:
            folder.stage(_REPORT)  # before any work: the name must be ours to use

    def add(self, scan: Scan, volume: Volume, result: ProposedMasks) -> Iterator[str]:
        """Write the files of one scan; gives the line to show."""
        proposals, name = result.proposals, f"{scan.name}{SUFFIX}"
        with ResultFolder(self.output / scan.folder) as folder:
            proposals.save(folder.stage(name))
            if result.picture is not None:
                folder.stage(f"{scan.name}_proposals.png").write_bytes(result.picture)
            if result.label_map is not None:
                write_nifti(result.label_map, folder.stage(f"{scan.name}_proposals.nii.gz"), "some mask proposals")
            folder.commit()
        kinds = {kind: int(np.count_nonzero(proposals.kind == code)) for code, kind in enumerate(KINDS)}
        sizes = by_size(proposals)
        self._enter(
            scan,
            file=(scan.folder / name).as_posix(),
            proposals=len(proposals),
            by_size=sizes,
            by_kind={kind: count for kind, count in kinds.items() if count},
            seconds=round(result.seconds, 1),
            error=None,
        )
        parts = ", ".join(f"{count} {size}" for size, count in sizes.items())
        yield f"{scan.path}: {len(proposals)} proposals ({parts}), {result.seconds:.1f} s"

    def fail(self, scan: Scan, text: str) -> None:
        """Note that a scan could not be used."""
        self.failed += 1
        self._enter(scan, proposals=None, error=text)

    def close(self) -> None:
        """Write the report, as far as the run got."""
        if self.entries:
            with ResultFolder(self.output) as folder:
                write_json(self.entries, folder.stage(_REPORT))
                folder.commit()

    def summary(self) -> str:
        """A line for the end of the run."""
        done = len(self.entries) - self.failed
        parts = [f"{done} done"] + ([f"{self.failed} failed"] if self.failed else [])
        return f"{', '.join(parts)}. See {_REPORT} in {self.output}. Not for clinical use."

    def _enter(self, scan: Scan, **facts: Any) -> None:
        self.entries.append({"input": str(scan.path), "method": self.method, **facts})


def _spec(given: dict[str, Any]) -> MassProposalsSpec:
    if given["method"] != "sam2" and (given["weights"] or given["allow_download"]):
        raise InputError("--weights and --allow-download are for SAM 2. Add --method sam2, or leave them out.")
    return MassProposalsSpec(
        method=given["method"],
        weights=given["weights"],
        allow_download=given["allow_download"],
        device=given["device"],
        settings=SupervoxelConfig(seed=given["seed"]),
        spacing_mm=given["spacing"],
        preview=given["preview"],
    )


def _segments(path: Path | None, scans: list[Scan], given: dict[str, Any]) -> tuple[Volume, ...]:
    """The label map that goes with the one scan."""
    if path is None:
        return ()
    if len(scans) != 1:
        raise InputError(f"--segments goes with one input; found {len(scans)}. Run the command once for each scan.")
    label_map = read_volume(path)
    scan = read_volume(scans[0].path, replace_nan=given["replace_nan"], modality=given["modality"])
    return (require_same_grid(label_map, scan, scans[0].name),)
