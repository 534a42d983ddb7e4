"""`whatmatters relevance`: find prompts in files and folders, and write what was found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.batch import Batch, Place, run_batch
from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED, USAGE
from MaskWhatMattersLib.cli.display import make_display
from MaskWhatMattersLib.cli.inputs import Scan, check_output, find_scans
from MaskWhatMattersLib.cli.names import unique_slugs
from MaskWhatMattersLib.cli.options import read_options
from MaskWhatMattersLib.cli.prompts import check_localizer, check_prompts
from MaskWhatMattersLib.cli.results import Results
from MaskWhatMattersLib.contact_sheet import describe
from MaskWhatMattersLib.jobs.relevance_job import RelevanceSpec
from MaskWhatMattersLib.volumes import Volume, read_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap


def relevance(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names of `RelevanceOptions`, and config, json, quiet, verbose.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    as_json, quiet, verbose = given.pop("json"), given.pop("quiet"), given.pop("verbose")
    options = read_options(given.pop("config", None), given)
    check_localizer(options.localizer, model=options.model, roi=options.roi)
    check_prompts(options.prompts, options.localizer)
    scans = find_scans(options.inputs)
    check_output(options.output, options.inputs)
    roi = read_volume(options.roi) if options.roi is not None else None
    spec = RelevanceSpec(**{name: getattr(options, name) for name in RelevanceSpec.model_fields})

    results = Results(options.output, unique_slugs(options.prompts), options.threshold)

    def add(scan: Scan, volume: Volume, answers: list[RelevanceMap]) -> Iterator[str]:
        for answer in results.add(scan, volume, answers):
            yield f"{scan.path}: {answer.prompt}: {describe(answer, options.threshold)}"

    data = [roi] if roi is not None else []
    batch = Batch(spec, data, add, results.add_failure, options.replace_nan, options.modality)
    place = Place(**{name: getattr(options, name) for name in Place._fields})
    stream = sys.stderr if as_json else sys.stdout
    try:
        with make_display(len(scans), quiet=quiet, verbose=verbose, stream=stream) as display:
            run_batch(scans, batch, place, display)
    finally:
        results.close()
    if as_json:
        sys.stdout.write(results.as_json())
    if not quiet:
        print(results.summary(), file=stream)
    if any(entry["verdict"] == "unknown" for entry in results.entries):
        return USAGE
    return SOME_FAILED if results.failed else DONE
