"""A first result in a minute: `make demo`, or `python -m MaskWhatMattersLib.demo`.

Shows a real brain (the template inside the nilearn package) and, where the environment variable WHATMATTERS_DATA names
the folder of labelled scans, one case of each set. Nothing is fetched from the network.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from MaskWhatMattersLib.contact_sheet import SheetRow, contact_sheet
from MaskWhatMattersLib.demo_by_example import by_example
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance import Localizer, RelevanceMap, create_localizer
from MaskWhatMattersLib.volumes import Volume, read_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.datasets.manifest import ManifestRow

RESEARCH = "builtin-research"
_TEMPLATE = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True)
class Asked:
    """One prompt with what is known about the answer.

    Attributes:
        prompt: What is asked.
        labels: Labels of the label map that are this structure; empty when it is known to be absent.
        scored: Whether the truth is known at all.
    """

    prompt: str
    labels: tuple[int, ...] = ()
    scored: bool = True


@dataclass(frozen=True)
class Case:
    """One image with its prompts."""

    title: str
    image: Path
    modality: str
    asked: tuple[Asked, ...]
    label_map: Path | None = None


@dataclass(frozen=True, eq=False)
class Line:
    """One line of the table."""

    case: Case
    asked: Asked
    answer: RelevanceMap
    dice: float | None


_ABSENT_TUMOR = Asked("brain tumor")
# Set -> title, modality, prompts with the labels that are the truth. Sets with automatic labels or none, and the one
# whose test case is the template itself, are left out.
SETS: dict[str, tuple[str, str, tuple[Asked, ...]]] = {
    "chest_xray_kermany_lungmask": ("Chest X-ray", "XR", (Asked("lungs", (1,)), Asked("left lung", scored=False))),
    "chest_xray_covid_lungmask": ("Chest X-ray, COVID-19", "XR", (Asked("right lung", (1,)), Asked("left lung", (2,)))),
    "openkbp_hn_ct": (
        "Head and neck CT",
        "CT",
        (Asked("mandible", (7,)), Asked("spinal cord", (2,)), Asked("left parotid gland", (4,)), Asked("liver")),
    ),
    "hippocampus_mr": ("Hippocampus MR, cropped", "MR", (Asked("hippocampus", (1, 2)), Asked("liver"))),
    "brain_tumor_2d_figshare": ("Brain MR with contrast", "MR", (Asked("brain tumor", (255,)),)),
    "brain_tumor_2d_br35h_masks": ("Brain MR slice", "MR", (Asked("brain tumor", tuple(range(1, 10))),)),
    "acdc_cardiac_mr": (
        "Cine heart MR",
        "MR",
        (Asked("left ventricle", (3,)), Asked("right ventricle", (1,)), Asked("myocardium", (2,)), _ABSENT_TUMOR),
    ),
    "left_atrium": ("Heart MR, late enhancement", "MR", (Asked("left atrium", (1,)),)),
    "chaos_abdomen_mr_t2": (
        "Abdominal MR",
        "MR",
        (Asked("liver", (1,)), Asked("spleen", (4,)), Asked("right kidney", (2,)), _ABSENT_TUMOR),
    ),
}


def template_case() -> Case | None:
    """The ICBM 152 template of nilearn, found without importing nilearn; None where it is not installed."""
    spec = util.find_spec("nilearn")
    if spec is None or spec.origin is None:
        return None
    image = Path(spec.origin).parent / "datasets" / "data" / _TEMPLATE
    asked = (Asked("brain", scored=False), Asked("hippocampus", scored=False), Asked("brain tumor"))
    return Case("Brain T1 template (ICBM 152)", image, "MR", asked) if image.is_file() else None


def data_cases(folder: Path) -> list[Case]:
    """One case of each set that the folder holds: of its test split where it has one, else of its validation split.

    Raises:
        InputError: The folder has no manifest that can be read.
    """
    from MaskWhatMattersLib.datasets.manifest import read_manifest

    chosen: dict[str, ManifestRow] = {}
    for row in sorted(read_manifest(folder), key=lambda row: row.split):  # "test" comes before "val"
        if row.dataset in SETS and row.split in ("test", "val") and row.label_map is not None:
            chosen.setdefault(row.dataset, row)
    return [
        Case(SETS[name][0], chosen[name].image, SETS[name][1], SETS[name][2], chosen[name].label_map)
        for name in SETS
        if name in chosen
    ]


class Demo:
    """Runs cases and keeps the localizers loaded."""

    def __init__(self) -> None:
        self._localizers: dict[str, Localizer | None] = {}

    def run(self, case: Case) -> Iterator[Line]:
        """One line per prompt.

        What the default weights were not trained for is asked of the research weights, where they came along: this is
        a demonstration, not a use.
        """
        volume = read_volume(case.image, modality=case.modality)
        truth = _truth(case, volume)
        answers = self._ask("builtin", volume, [asked.prompt for asked in case.asked])
        for asked, answer in zip(case.asked, answers, strict=True):
            if answer.verdict == "untrained" and self._localizer(RESEARCH) is not None:
                answer = self._ask(RESEARCH, volume, [asked.prompt])[0]
            yield Line(case, asked, answer, _dice(asked, answer, truth))

    def _ask(self, name: str, volume: Volume, prompts: Sequence[str]) -> list[RelevanceMap]:
        localizer = self._localizer(name)
        if localizer is None:
            raise InputError(f'The weights of "{name}" are missing. Run `whatmatters check-setup` to see why.')
        return localizer.localize(volume, prompts, context=SilentProgress())

    def _localizer(self, name: str) -> Localizer | None:
        if name not in self._localizers:
            try:
                self._localizers[name] = create_localizer(name)
            except InputError:
                self._localizers[name] = None
        return self._localizers[name]


def _truth(case: Case, volume: Volume) -> Volume | None:
    if case.label_map is None:
        return None
    labels = read_volume(case.label_map)
    return labels if labels.spatial_shape == volume.spatial_shape else None


def _dice(asked: Asked, answer: RelevanceMap, truth: Volume | None) -> float | None:
    """Dice against the manual labels; None where they do not say."""
    if truth is None or not asked.scored or not asked.labels or answer.verdict == "untrained":
        return None
    wanted = np.isin(truth.array, asked.labels)
    mask = answer.mask().array > 0
    total = int(wanted.sum() + mask.sum())
    return 2 * int((wanted & mask).sum()) / total if total else 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; 0 unless nothing could be shown."""
    parser = argparse.ArgumentParser(prog="python -m MaskWhatMattersLib.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/demo"), help="folder for the contact sheet")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("WHATMATTERS_DATA") or "."))
    options = parser.parse_args(arguments)
    template = template_case()
    cases = [template] if template is not None else []
    if (options.data / "MANIFEST.csv").is_file():
        cases += data_cases(options.data)
    else:
        print("No folder of labelled scans (WHATMATTERS_DATA): only the brain template is shown.")
    started = time.perf_counter()
    try:
        lines = _run(cases)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    if not lines:
        print("There is nothing to show: install nilearn for the brain template (`make setup`).", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    sheet = options.output / "contact_sheet.png"
    contact_sheet(_rows(lines), sheet)
    _print_table(lines, time.perf_counter() - started)
    _print_atrium(cases)
    if (options.data / "MANIFEST.csv").is_file() and (text := by_example(options.data)):
        print(text)
    _print_next(sheet, lines)
    return 0


def _run(cases: Sequence[Case]) -> list[Line]:
    from rich.progress import track

    demo = Demo()
    return [line for case in track(cases, "Looking") for line in demo.run(case)]


def _rows(lines: Sequence[Line]) -> Iterator[SheetRow]:
    for case in dict.fromkeys(line.case for line in lines):
        answers = [line.answer for line in lines if line.case is case]
        yield SheetRow(read_volume(case.image, modality=case.modality), answers, case.title)


def _print_table(lines: Sequence[Line], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What was found", caption="Dice: agreement with manual labels, 1 is perfect.")
    for column in ("Image", "Prompt", "Answer", "Localizer"):
        table.add_column(column)
    for column in ("Score", "Dice", "mL", "s"):
        table.add_column(column, justify="right")
    previous = None
    for line in lines:
        answer, size = line.answer, line.answer.volume_ml() if line.answer.verdict == "found" else None
        table.add_row(
            line.case.title if line.case is not previous else "",
            line.asked.prompt,
            _verdict(line),
            answer.localizer,
            f"{answer.score:.2f}",
            "" if line.dice is None else f"{line.dice:.2f}",
            "" if size is None else f"{size:.1f}",
            f"{answer.seconds:.2f}",
            end_section=line is lines[-1] or lines[lines.index(line) + 1].case is not line.case,
        )
        previous = line.case
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(f"{len(lines)} answers in {seconds:.0f} s, reading and loading included.")


def _print_atrium(cases: Sequence[Case]) -> None:
    """What the network made for the left atrium says about the scan of it, where there is one."""
    case = next((case for case in cases if case.asked[0].prompt == "left atrium"), None)
    if case is None:
        return
    from MaskWhatMattersLib.corn.predict import AtriumSegmenter
    from MaskWhatMattersLib.evaluation.overlap import dice

    volume = read_volume(case.image, modality=case.modality)
    try:
        atrium = AtriumSegmenter.load().segment(volume)
    except InputError as error:
        print(f"The left atrium was not segmented: {error}")
        return
    truth = _truth(case, volume)
    overlap = ""
    if truth is not None:
        wanted = truth.array == 1
        score, manual_ml = dice(atrium.label_map.array > 0, wanted), wanted.sum() * truth.voxel_volume_ml
        overlap = f"Dice {score:.2f}, manual volume {manual_ml:.1f} mL; "
    print(
        f"The left atrium of the same scan by {atrium.model} (Corn Segmentation): {atrium.volume_ml:.1f} mL; {overlap}"
        f"agreement {atrium.agreement:.2f}; please review: {', '.join(atrium.review_reasons) or 'no'}; "
        f"{atrium.seconds:.1f} s."
    )


def _verdict(line: Line) -> str:
    """The verdict, with a mark where the truth is known."""
    verdict = line.answer.verdict
    if not line.asked.scored or verdict == "untrained":
        return verdict
    return f"{verdict}, {'right' if verdict == ('found' if line.asked.labels else 'absent') else 'wrong'}"


def _print_next(sheet: Path, lines: Sequence[Line]) -> None:
    command = Path(sys.executable).with_name("whatmatters")
    shown = os.path.relpath(command) if command.is_file() else f"{sys.executable} -m MaskWhatMattersLib.cli"
    print(f"""
Look at {sheet}

What to try next:
  {shown} relevance {os.path.relpath(lines[0].case.image)} --prompt hippocampus --output output/mine
  {shown} relevance YOUR_FOLDER --prompt "left lung" --output output/mine
  {shown} masks {os.path.relpath(lines[0].case.image)} --prompt hippocampus --output output/masks
  {shown} pretrain --data YOUR_FOLDER --prompt liver --output output/encoder
  {shown} corn segment YOUR_HEART_SCANS --output output/atria
  {shown} mass segment --reference SCAN LABEL_MAP YOUR_FOLDER --output output/by-example
  {shown} check-setup
  In Slicer: add the folders MaskWhatMatters, CornSegmentation and MassInContext to the module paths and open one.

Not for clinical use.""")


if __name__ == "__main__":
    sys.exit(main())
