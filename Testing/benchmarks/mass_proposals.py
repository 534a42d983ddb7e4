"""How long proposals of masks take, and how well the best of them overlap structures that people have drawn.

python Testing/benchmarks/mass_proposals.py [--scans N] [--time-only] [--json FILE]

`proposals_s`: seconds for one volume of 256 x 256 x 128 voxels on two threads, the default settings: the slower one of
a made-up body and, where WHATMATTERS_DATA is set, an abdominal MR (chaos, 1.5 mm, mirrored at its ends to that size).
`proposals_cpu_s` is the processor time of the same run, which other programs on the computer change less.

Where WHATMATTERS_DATA is set, N scans (1) of each labelled set at 1.5 mm: for every structure the best Dice of any
single proposal. "one size" takes even regions of the size that suits each set best, "pyramid" those of all sizes;
"+ tree" adds the nodes that merge the regions of 2 mL, "+ basins" the watershed and the nodes that merge its basins,
"+ rest" pieces between thresholds and unions. All of them with no limit on their number; "as proposed" is what the
default settings keep.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "MaskWhatMatters")]

from MaskWhatMattersLib.datasets.manifest import read_manifest  # noqa: E402
from MaskWhatMattersLib.datasets.preparation import resample_smoothed  # noqa: E402
from MaskWhatMattersLib.mass.proposals.config import SupervoxelConfig  # noqa: E402
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS, ProposalSet  # noqa: E402
from MaskWhatMattersLib.mass.proposals.propose import SupervoxelProposer  # noqa: E402
from MaskWhatMattersLib.volumes import Volume, orient, read_volume, resample_like  # noqa: E402
from mass_phantoms import organ_subject  # noqa: E402

GOALS = {"proposals_s": 90.0}
SHAPE = (128, 256, 256)
SPACING_MM = 1.5
SETS = {
    "chaos_abdomen_mr_t2": "MR",
    "openkbp_hn_ct": "CT",
    "totalseg_examples_silver": "CT",
    "acdc_cardiac_mr": "MR",
    "hippocampus_mr": "MR",
    "brain_mr_3d": "MR",
    "left_atrium": "MR",
}
LEAST_ML = 0.3  # of a structure
STEPS = ("one size", "pyramid", "+ tree", "+ basins", "+ rest", "as proposed")
EVERYTHING = SupervoxelConfig(most_regions=1_000_000, most_nodes=1_000_000, node_overlap=1.0)


def timed(name: str, volume: Volume) -> tuple[float, float]:
    """Seconds and seconds of processor time for one volume."""
    started, worked = time.perf_counter(), time.process_time()
    found = SupervoxelProposer().propose(volume)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    print(f"{name:12} {len(found)} proposals in {seconds:.1f} s ({cpu:.1f} s of processor time)", flush=True)
    return seconds, cpu


def times(data: Path | None) -> dict[str, float]:
    """`proposals_s` and its parts."""
    volumes = {"synthetic": organ_subject(0, SHAPE, (SPACING_MM,) * 3)[0]}
    if data is not None:
        row = next(row for row in read_manifest(data) if row.dataset == "chaos_abdomen_mr_t2" and row.split == "test")
        scan = resample_smoothed(orient(read_volume(row.image, modality="MR")), SPACING_MM)
        missing = [(0, max(0, wanted - side)) for wanted, side in zip(SHAPE, scan.spatial_shape, strict=True)]
        depth, height, width = SHAPE
        mirrored = np.pad(scan.array[0], missing, mode="symmetric")[:depth, :height, :width]
        volumes["chaos"] = Volume(mirrored[None], scan.affine, modality="MR")
    figures = {}
    for name, volume in volumes.items():
        figures[f"{name}_s"], figures[f"{name}_cpu_s"] = timed(name, volume)
    return {
        "proposals_s": max(figures[f"{name}_s"] for name in volumes),
        "proposals_cpu_s": max(figures[f"{name}_cpu_s"] for name in volumes),
        **figures,
    }


def all_dice(found: ProposalSet, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of every proposal with one structure, [N]."""
    inside = np.zeros(len(found))
    for number, labels in enumerate(found.levels):
        here = found.level == number
        below = np.concatenate([[0], np.cumsum(np.bincount(labels[truth], minlength=int(labels.max()) + 1))])
        inside[here] = below[found.last[here] + 1] - below[found.first[here]]
    return np.asarray(2 * inside / (found.voxels + truth.sum()))


def groups(found: ProposalSet) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]:
    """Even regions of each size; and what each step of the pyramid has, the steps in order."""
    kind = {name: found.kind == code for code, name in enumerate(KINDS)}
    sizes = [kind["supervoxel"] & (found.level == number) for number in range(len(found.levels))]
    tree_levels = np.unique(found.level[kind["supervoxel"]])
    tree = kind["merged"] & np.isin(found.level, tree_levels)
    pyramid = kind["supervoxel"]
    return [each for each in sizes if each.any()], [
        pyramid,
        pyramid | tree,
        pyramid | kind["merged"] | kind["watershed"],
        np.ones(len(found), np.bool_),
    ]


def overlaps(image: Volume, label_map: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Best Dice of S structures: of each size of even regions, [S, sizes]; of each further step, [S, 5]."""
    scan = resample_smoothed(orient(image), SPACING_MM)
    truth = np.rint(resample_like(label_map, scan, "nearest").array[0]).astype(int)
    everything = SupervoxelProposer(EVERYTHING).propose(scan)
    kept = SupervoxelProposer().propose(scan)
    sizes, steps = groups(everything)
    by_size, by_step = [], []
    for value in np.unique(truth[truth > 0]):
        mask = truth == value
        if mask.sum() * scan.voxel_volume_ml < LEAST_ML:
            continue
        dice = all_dice(everything, mask)
        by_size.append([dice[each].max() for each in sizes])
        by_step.append([*(dice[each].max() for each in steps), all_dice(kept, mask).max()])
    return np.array(by_size), np.array(by_step)


def qualities(data: Path, scans: int) -> dict[str, float]:
    """Table of the best Dice, mean over structures and scans of each set, and over the sets."""
    rows = read_manifest(data)
    print(f"\n{'best Dice':26}{''.join(f'{step:>13}' for step in STEPS)}  share above 0.4", flush=True)
    table, shares = [], []
    for name, modality in SETS.items():
        labelled = [row for row in rows if row.dataset == name and row.label_map is not None]
        order = {"test": 0, "val": 1, "train": 2}
        results = []
        for row in sorted(labelled, key=lambda row: order[row.split])[:scans]:
            label_map = row.label_map
            if label_map is not None:
                results.append(overlaps(read_volume(row.image, modality=modality), read_volume(label_map)))
        by_size = np.concatenate([sizes for sizes, _ in results]).mean(0)
        steps = np.concatenate([found for _, found in results])
        table.append([by_size.max(), *steps.mean(0)])
        shares.append(float((steps[:, -1] > 0.4).mean()))
        line = "".join(f"{value:13.3f}" for value in table[-1])
        print(f"{name:26}{line}  {shares[-1]:.2f} of {len(steps)}", flush=True)
    means = np.array(table).mean(0)
    print(f"{'mean over sets':26}{''.join(f'{value:13.3f}' for value in means)}  {np.mean(shares):.2f}")
    return {f"dice {step}": float(value) for step, value in zip(STEPS, means, strict=True)}


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=1, help="of each set (default: 1)")
    parser.add_argument("--time-only", action="store_true", help="leave out the overlap with drawn structures")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
    folder = os.environ.get("WHATMATTERS_DATA")
    data = Path(folder) if folder else None
    figures = times(data)
    if data is not None and not arguments.time_only:
        figures |= qualities(data, arguments.scans)
    for name, value in figures.items():
        goal = f"   (at most {GOALS[name]:g})" if name in GOALS else ""
        print(f"{name:24} {value:8.3f}{goal}")
    print(f"2 threads, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({k: round(v, 4) for k, v in figures.items()}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
