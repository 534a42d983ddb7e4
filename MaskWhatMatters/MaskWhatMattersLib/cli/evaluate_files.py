"""The work of `whatmatters evaluate`: pair the files, score each pair, write and print the tables."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED
from MaskWhatMattersLib.cli.display import Display, make_display
from MaskWhatMattersLib.cli.evaluate_report import agreements_of, as_report, notes_on_labels
from MaskWhatMattersLib.cli.table_files import check_table_place, write_table
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.cases import FINAL, METRICS, CaseScores, Spacing, labels_of, score_case
from MaskWhatMattersLib.evaluation.pairs import Pairing, pair_by_name
from MaskWhatMattersLib.evaluation.tables import case_columns, cases_csv, summarise, summary_markdown
from MaskWhatMattersLib.volumes import Volume, read_volume

_SHOWN = 10
_HEADERS = [",".join(case_columns(spacing)) for spacing in METRICS]


@dataclass(frozen=True)
class _Source:
    """A folder of predictions.

    Attributes:
        seed: Which training made them; "" for the only one.
        folder: As it was typed.
        checkpoint: Which checkpoint of the training.
    """

    seed: str
    folder: Path
    checkpoint: str = FINAL

    @property
    def title(self) -> str:
        """What to call it in a line of text."""
        return " ".join(filter(None, (self.seed, "" if self.checkpoint == FINAL else self.checkpoint)))


class _Outcome:
    """What came of the run so far."""

    def __init__(self) -> None:
        self.scores: list[CaseScores] = []
        self.failures: list[dict[str, str]] = []
        self.notes: list[str] = []

    def fail(self, path: Path, text: str) -> str:
        """Note that a file could not be scored; returns the message with the path in front."""
        self.failures.append({"input": str(path), "error": text})
        return text if text.startswith(str(path)) else f"{path}: {text}"


def evaluate(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names in `add_parser`.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, found before any work.
        JobError: The table cannot be written.
    """
    spacing: Spacing = given["spacing"]
    truth, output = given["truth"], given["output"]
    sources = _read_sources(given["predictions"], given["best_on_test"])
    names = _read_labels(given["labels"])
    check_table_place(output, [truth, *(source.folder for source in sources)], _HEADERS)
    pairings = [(source, pair_by_name(source.folder, truth)) for source in sources]

    outcome = _Outcome()
    stream = sys.stderr if given["json"] else sys.stdout
    total = sum(len(pairing.pairs) for _, pairing in pairings)
    with make_display(total, quiet=given["quiet"], verbose=given["verbose"], stream=stream) as display:
        _report_unmatched(pairings, outcome, display)
        truths = _paths_of_truths(pairings)
        broken: set[str] = set()
        labels = tuple(names) or _labels_of_all(truths, broken, outcome, display)
        for case, path in truths.items():
            if case not in broken:
                _score_one(case, path, pairings, labels, names, spacing, given["largest_component"], outcome, display)
    outcome.scores.sort(key=lambda row: (row.seed, row.checkpoint != FINAL, row.checkpoint, row.case))
    if any(row.checkpoint == FINAL for row in outcome.scores):
        write_table(cases_csv(outcome.scores, spacing), output)
    else:
        outcome.scores = []  # other checkpoints alone say nothing
    _print_all(given, outcome, stream)
    return SOME_FAILED if outcome.failures else DONE


def _read_sources(predictions: Sequence[str], others: Sequence[str]) -> list[_Source]:
    """The folders after --prediction and --best-on-test; all problems at once."""
    final = [_Source(*_split(text)) for text in predictions]
    other = [_Source(seed, folder, folder.name) for seed, folder in map(_split, others)]
    problems = []
    seeds = [source.seed for source in final]
    if len(final) > 1 and ("" in seeds or len(set(seeds)) < len(seeds)):
        problems.append(
            "Several folders of predictions need a name each: --prediction seed1=DIR --prediction seed2=DIR."
        )
    for source in other:
        if source.seed not in seeds:
            problems.append(
                f"--best-on-test {source.seed}={source.folder} belongs to no --prediction; found "
                f"{', '.join(seeds) or 'none'}. Use one of these names."
                if any(seeds)
                else f"--best-on-test {source.seed}={source.folder}: leave the name out, as for --prediction."
            )
    folders = [source.folder.resolve() for source in (*final, *other)]
    twice = sorted({str(folder) for folder in folders if folders.count(folder) > 1})
    if twice:
        problems.append(f"{', '.join(twice)} was given more than once. Give each folder of predictions once.")
    if problems:
        raise InputError(" ".join(problems))
    # Folders of one seed may be called the same (run/5000/predictions, run/9000/predictions).
    known = [(source.seed, source.checkpoint) for source in other]
    clear = [s if known.count((s.seed, s.checkpoint)) == 1 else _Source(s.seed, s.folder, str(s.folder)) for s in other]
    return [*final, *clear]


def _split(text: str) -> tuple[str, Path]:
    """NAME=DIR or DIR; a folder whose own name holds "=" is taken as it is."""
    name, sign, folder = text.partition("=")
    if not sign or Path(text).is_dir():
        return "", Path(text)
    if not name.strip() or not folder:
        raise InputError(f"{text!r} cannot be used. Give a folder, or NAME=FOLDER.")
    return name.strip(), Path(folder)


def _read_labels(typed: Sequence[str]) -> dict[int, str]:
    """Value -> name, of what followed --label."""
    labels: dict[int, str] = {}
    for text in typed:
        value, _, name = text.partition("=")
        try:
            label = int(value)
        except ValueError:
            label = 0
        if label == 0:
            raise InputError(f"--label {text!r} cannot be used: a label is a whole number other than 0. Use --label 1.")
        labels[label] = name.strip()
    return labels


def _report_unmatched(pairings: Iterable[tuple[_Source, Pairing]], outcome: _Outcome, display: Display) -> None:
    """A truth without prediction is a failure, since the mean leaves it out; a prediction more is worth a line."""
    for source, pairing in pairings:
        for path in pairing.without_prediction:
            display.failure(outcome.fail(path, f"no prediction of that name in {source.folder}; it is in no mean."))
        if pairing.without_truth:
            names = ", ".join(path.name for path in pairing.without_truth[:_SHOWN])
            more = len(pairing.without_truth) - _SHOWN
            tail = f" and {more} more" if more > 0 else ""
            outcome.notes.append(f"Not scored, since no truth has the name: {names}{tail} in {source.folder}.")


def _paths_of_truths(pairings: Iterable[tuple[_Source, Pairing]]) -> dict[str, Path]:
    paths = {case: truth for _, pairing in pairings for case, (_, truth) in pairing.pairs.items()}
    return dict(sorted(paths.items()))


def _labels_of_all(truths: dict[str, Path], broken: set[str], outcome: _Outcome, display: Display) -> tuple[int, ...]:
    """Every label of any truth, so that a case which lacks one is scored for it all the same."""
    found: set[int] = set()
    for case, path in truths.items():
        try:
            found.update(labels_of(read_volume(path)))
        except Exception as error:  # one bad file must not end the run
            broken.add(case)
            display.failure(outcome.fail(path, _explain(error)), _details(error))
    if not found and len(broken) < len(truths):
        raise InputError(
            "No truth holds a label: every voxel is 0. Choose the folder with the segmentations, or name the label to "
            "score with --label."
        )
    return tuple(sorted(found))


def _score_one(
    case: str,
    truth_path: Path,
    pairings: Iterable[tuple[_Source, Pairing]],
    labels: tuple[int, ...],
    names: dict[int, str],
    spacing: Spacing,
    with_largest_component: bool,
    outcome: _Outcome,
    display: Display,
) -> None:
    """Score every prediction of one case, and go on after a failure."""
    truth: Volume | None = None
    for source, pairing in pairings:
        if case not in pairing.pairs:
            continue
        path = pairing.pairs[case][0]
        try:
            truth = truth or read_volume(truth_path)
            prediction = read_volume(path)
            rows = score_case(
                prediction,
                truth,
                spacing=spacing,
                labels=labels,
                names=names,
                with_largest_component=with_largest_component,
                case=case,
                seed=source.seed,
                checkpoint=source.checkpoint,
            )
            more = sorted(set(labels_of(prediction)) - set(labels))
        except Exception as error:  # one bad file must not end the run
            display.failure(outcome.fail(path, _explain(error)), _details(error))
        else:
            outcome.scores += rows
            if more and not names:
                values = ", ".join(map(str, more[:_SHOWN]))
                outcome.notes.append(f"{path} also holds {values}, which no truth does: not scored. Is it that label?")
            title = f" ({source.title})" if source.title else ""
            display.result(f"{case}{title}: {_in_short(rows)}")
        display.finished()


def _in_short(rows: Sequence[CaseScores]) -> str:
    """Dice of each label, in one line."""
    parts = [
        f"{row.label_name or f'label {row.label}'}{' (largest component)' if row.largest_component else ''} "
        f"dice {row.values['dice']:.4f}{f', {row.empty} empty' if row.empty else ''}"
        for row in rows[:_SHOWN]
    ]
    return "; ".join(parts) + (f"; {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")


def _print_all(given: dict[str, Any], outcome: _Outcome, stream: TextIO) -> None:
    """The summary as Markdown or JSON, and what the person should know."""
    is_best_asked = bool(given["best_on_test"]) and any(row.checkpoint != FINAL for row in outcome.scores)
    summaries = summarise(outcome.scores, best_on_test=is_best_asked)
    agreements = agreements_of(outcome.scores) if given["spacing"] == "mm" else []
    if given["json"]:
        print(json.dumps(as_report(outcome.scores, summaries, agreements, outcome.failures), indent=2))
    if not summaries:
        print("Nothing could be scored, so no table was written.", file=sys.stderr)
    elif not given["quiet"]:
        for note in (*outcome.notes, *notes_on_labels(outcome.scores)):
            print(note, file=sys.stderr)
        if not given["json"]:
            print("\n" + summary_markdown(summaries), file=stream)
        for agreement in agreements:
            print(agreement.sentence(), file=stream)
        failures = f", {len(outcome.failures)} failed" if outcome.failures else ""
        cases = len({row.case for row in outcome.scores})
        print(f"{cases} cases scored{failures}. See {given['output']}. Not for clinical use.", file=stream)


def _explain(error: Exception) -> str:
    """What went wrong and what to do, in one line."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}. Check the disk and the folder, then run again."
    return f"unexpected {type(error).__name__}: {error}. Run again with -v and report what it prints."


def _details(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
