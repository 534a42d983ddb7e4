"""The work of `whatmatters corn segment`: check what was typed, run one job per scan, print what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.batch import Batch, Place, run_batch
from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED
from MaskWhatMattersLib.cli.corn_segment_report import SegmentResults
from MaskWhatMattersLib.cli.display import make_display
from MaskWhatMattersLib.cli.inputs import Scan, check_output, find_scans
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.corn_segment_job import CornSegmentSpec
from MaskWhatMattersLib.models import find_model, read_card
from MaskWhatMattersLib.volumes import Volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.corn.predict import AtriumSegmentation

_DEFAULT_MODEL = "left-atrium"  # as in corn/predict.py, which would load torch here


def segment(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names in `corn_segment.add_parser`.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    inputs, output, keep = given["inputs"], given["output"], tuple(dict.fromkeys(given["keep"]))
    place = Place(**{name: given[name] for name in Place._fields})
    spec = CornSegmentSpec(
        model=given["model"],
        finder=given["finder"],
        device=given["device"],
        field_of_view=given["field_of_view"],
        mirrored=given["mirrored"],
        keep_probability="probability" in keep,
    )
    scans = find_scans(inputs, "corn segment")
    check_apart(output, inputs)
    _check_names(scans, keep)
    stream = sys.stderr if given["json"] else sys.stdout
    if place.scheduler is None and not given["quiet"]:
        for line in _notices(spec.model):
            print(line, file=stream)
    check_output(output, inputs)
    results = SegmentResults(output, keep)

    def add(scan: Scan, volume: Volume, result: AtriumSegmentation) -> Iterator[str]:
        results.add(scan, result)
        yield f"{scan.path}: {in_words(result)}"

    batch = Batch(spec, (), add, results.add_failure, given["replace_nan"], given["modality"])
    try:
        with make_display(len(scans), quiet=given["quiet"], verbose=given["verbose"], stream=stream) as display:
            run_batch(scans, batch, place, display)
    finally:
        results.close()
    if given["json"]:
        sys.stdout.write(results.as_json())
    if not given["quiet"]:
        print(results.summary(), file=stream)
    return SOME_FAILED if results.failed else DONE


def check_apart(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output folder in which a result could take the name of an input.

    Raises:
        InputError: It is, holds or lies in an input folder, or an input file lies directly in it.
    """
    place = output.resolve()
    for given in inputs:
        folder = given.resolve() if given.is_dir() else given.resolve().parent
        relation = ""
        if place == folder:
            relation = "is the input folder" if given.is_dir() else "is the folder of the input"
        elif given.is_dir() and folder in place.parents:
            relation = "lies inside the input folder"
        elif given.is_dir() and place in folder.parents:
            relation = "holds the input folder"
        if relation:
            raise InputError(
                f"The output folder {output} {relation} {given}, where results could replace scans or become inputs of "
                "the next run. Choose a folder apart from it, for example a new one."
            )


def in_words(result: AtriumSegmentation) -> str:
    """One result in one line."""
    found = f"{result.volume_ml:.1f} mL"
    if result.volume_ml:
        found += f", agreement {result.agreement:.2f}, {result.seconds:.1f} s"
    return f"{found}; please review: {'; '.join(result.review_reasons)}" if result.review else found


def _check_names(scans: Sequence[Scan], keep: Sequence[str]) -> None:
    """Refuse scans whose label map would have the name of another scan's kept map."""
    taken = {(scan.folder, scan.name.casefold()): scan.path for scan in scans}
    for scan in scans:
        for kind in keep:
            other = taken.get((scan.folder, f"{scan.name}_{kind}".casefold()))
            if other is not None:
                raise InputError(
                    f"{scan.path} and {other} would both give {scan.name}_{kind}.nii.gz. Rename one of them, or leave "
                    f"--keep {kind} out."
                )


def _notices(model: str | None) -> list[str]:
    """What a person must know before using the model; to go on is to acknowledge it.

    Raises:
        ModelFileError: There is no such model.
        ConsentRequiredError: It has to be downloaded first.
    """
    card = read_card(find_model(model or _DEFAULT_MODEL))
    if not card.research_only:
        return []
    return [f"The model {card.name} {card.version} is for research use only: it was trained on data with such terms."]
