"""The work of `whatmatters corn segment`: check what was typed, run one job per scan, print what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.batch import Batch, Place, run_batch
from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED
from MaskWhatMattersLib.cli.corn_segment_report import SegmentResults
from MaskWhatMattersLib.cli.display import make_display
from MaskWhatMattersLib.cli.inputs import Scan, check_apart, check_kept_names, check_output, find_scans
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
    check_kept_names(scans, keep)
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


def in_words(result: AtriumSegmentation) -> str:
    """One result in one line."""
    found = f"{result.volume_ml:.1f} mL"
    if result.volume_ml:
        found += f", agreement {result.agreement:.2f}, {result.seconds:.1f} s"
    return f"{found}; please review: {'; '.join(result.review_reasons)}" if result.review else found


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
