"""How fast the left atrium is segmented on a processor, and what the fast way costs in accuracy.

python Testing/benchmarks/corn_inference.py [--model FILE] [--finder FILE] [--json FILE] [--part NAME ...] [--tiny]

Needs the real scans (WHATMATTERS_DATA); the last five of train.list are used, whose labels no training sees.

Figures, on two threads unless told otherwise:
inference_speedup     seconds of the published protocol (windows of 112 x 112 x 80, strides 18, 18, 4, main branch)
                      over those of one pass over the whole crop, same scan, same run, network of the paper (random
                      weights) at 0.625 mm; every window is run
inference_dice_delta  mean Dice of one pass minus that of windows on the five scans, with the model's weights; windows
                      and strides as long in mm as the protocol's, rounded to voxels of the model
crop_s                one cropped scan from volume to label map, both branches, model loaded: median of the five
full_fov_s            the same for 576 x 576 x 88 voxels of 0.625 mm, finder included, in a fresh process, models loaded
full_fov_peak_gb      largest resident memory of that process

made_up_fov_dice      mean Dice on the five scans in made-up surroundings of 432 x 432 voxels, the atrium found first,
                      and how much it differs from that of the crops alone

Made-up surroundings are the scan's own anatomy, mirrored, warped and shaded (`corn/surroundings.py`). What the finder
does on a real whole scan they cannot say: none is at hand.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "MaskWhatMatters")]

from MaskWhatMattersLib.corn.network import CornNetworkConfig  # noqa: E402
from MaskWhatMattersLib.corn.predict import AtriumSegmenter  # noqa: E402
from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing, normalise, prepare_scan  # noqa: E402
from MaskWhatMattersLib.corn.report import dice  # noqa: E402
from MaskWhatMattersLib.corn.sliding import SlidingWindow, slide, whole_pass  # noqa: E402
from MaskWhatMattersLib.corn.surroundings import embed  # noqa: E402
from MaskWhatMattersLib.networks.vnet import VNet  # noqa: E402
from MaskWhatMattersLib.volumes import Volume, read_volume, write_volume  # noqa: E402

LIMITS = {
    "inference_speedup": (10.0, "at least"),
    "inference_dice_delta": (-0.001, "at least"),
    "crop_s": (10.0, "at most"),
    "full_fov_s": (60.0, "at most"),
    "full_fov_peak_gb": (4.0, "at most"),
}
PARTS = ("speedup", "dice", "crop", "finding", "full")
VALIDATION_SCANS = 5
FULL_SHAPE = (88, 576, 576)
PROTOCOL_MM = ((80, 112, 112), (4, 18, 18))  # voxels of 0.625 mm


def validation_scans(data: Path) -> list[tuple[Volume, Volume]]:
    """Image and label map of the last scans of the list."""
    folder = data / "left_atrium"
    names = (folder / "train.list").read_text(encoding="utf-8").split()[-VALIDATION_SCANS:]
    return [
        (read_volume(folder / "images" / f"{name}.nii.gz"), read_volume(folder / "labels" / f"{name}.nii.gz"))
        for name in names
    ]


def measure_speedup(scan: Volume, network: VNet, settings: SlidingWindow, spacing_mm: float) -> dict[str, float]:
    """One pass against all windows of one scan; the pass is taken three times, after one that does not count."""
    prepared = prepare_scan(scan, ScanPreprocessing(spacing_mm=spacing_mm))
    image = normalise(torch.from_numpy(prepared.array)[None])

    def predict(images: torch.Tensor) -> torch.Tensor:
        return network(images.contiguous(memory_format=torch.channels_last_3d)).logits.softmax(1)[:, 1:2]

    def timed(run: object) -> float:
        started = time.perf_counter()
        run()  # type: ignore[operator]
        return time.perf_counter() - started

    with torch.inference_mode():
        whole = [timed(lambda: whole_pass(predict, image, network.config.divisor, 10**9)) for _ in range(4)][1:]
        windows = timed(lambda: slide(predict, image, settings))
    return {
        "inference_speedup": windows / statistics.median(whole),
        "whole_crop_pass_s": statistics.median(whole),
        "windows_s": windows,
        "windows": settings.count(prepared.spatial_shape),
    }


def measure_dice(segmenter: AtriumSegmenter, scans: list[tuple[Volume, Volume]]) -> dict[str, float]:
    """Dice of one pass and of windows on each scan."""
    scale = 0.625 / segmenter.preprocessing.spacing_mm
    divisor = segmenter.network.config.divisor
    window, stride = (tuple(max(1, round(side * scale)) for side in sides) for sides in PROTOCOL_MM)
    window = tuple(max(1, round(side / divisor)) * divisor for side in window)
    settings = SlidingWindow(window=window, stride=stride)
    pairs = []
    for scan, truth in scans:
        results = [segmenter.segment(scan, field_of_view="crop", sliding=each) for each in (None, settings)]
        pairs.append([dice(result.label_map.array > 0, truth.array > 0) for result in results])
        print(f"{scan.name}: one pass {pairs[-1][0]:.4f}, windows {pairs[-1][1]:.4f}", flush=True)
    means = np.mean(pairs, axis=0)
    deltas = [one - many for one, many in pairs]
    return {
        "inference_dice_delta": float(means[0] - means[1]),
        "inference_dice_delta_worst_scan": min(deltas),
        "dice_one_pass": float(means[0]),
        "dice_windows": float(means[1]),
    }


def measure_crop(segmenter: AtriumSegmenter, scans: list[tuple[Volume, Volume]]) -> dict[str, float]:
    """Seconds for each scan, after one that does not count."""
    segmenter.segment(scans[0][0], field_of_view="crop")
    seconds = [segmenter.segment(scan, field_of_view="crop").seconds for scan, _ in scans]
    return {"crop_s": statistics.median(seconds), "crop_slowest_s": max(seconds)}


def in_made_up_surroundings(
    scan: Volume, truth: Volume, shape: tuple[int, int, int], seed: int = 0
) -> tuple[Volume, Volume]:
    """Scan and label map at a random place of a large field of view."""
    grey = np.clip(np.rint(scan.array[0] * (255.0 / scan.array.max())), 0, 255).astype(np.uint8)
    image, labels, _ = embed(grey, truth.array[0], shape, np.random.default_rng(seed))
    name = "made-up-surroundings"
    return Volume(image[None], scan.affine, name=name), Volume(labels[None], scan.affine, name=name)


def measure_finding(segmenter: AtriumSegmenter, scans: list[tuple[Volume, Volume]], side: int) -> dict[str, float]:
    """Dice in made-up surroundings, against that of the crops alone."""
    pairs = []
    for seed, (scan, truth) in enumerate(scans):
        wide, wide_truth = in_made_up_surroundings(scan, truth, (scan.spatial_shape[0], side, side), seed)
        found = dice(segmenter.segment(wide, field_of_view="full").label_map.array > 0, wide_truth.array > 0)
        alone = dice(segmenter.segment(scan, field_of_view="crop").label_map.array > 0, truth.array > 0)
        pairs.append((found, alone))
        print(f"{scan.name}: in made-up surroundings {found:.4f}, crop {alone:.4f}", flush=True)
    found, alone = np.mean(pairs, axis=0)
    return {"made_up_fov_dice": float(found), "made_up_fov_dice_delta": float(found - alone)}


def measure_full(
    scan: Volume, truth: Volume, arguments: argparse.Namespace, shape: tuple[int, int, int]
) -> dict[str, float]:
    """Time and memory in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wide.nii.gz"
        write_volume(in_made_up_surroundings(scan, truth, shape)[0], path)
        typed = [sys.executable, __file__, "--wide", str(path), "--threads", str(arguments.threads)]
        for option in ("model", "finder"):
            if getattr(arguments, option) is not None:
                typed += [f"--{option}", getattr(arguments, option)]
        answer = subprocess.run(typed, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return figures


def segment_wide(path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """What the fresh process does.

    Raises:
        RuntimeError: Nothing was found, so that the figures would mean nothing.
    """
    import resource

    segmenter = AtriumSegmenter.load(arguments.model, "cpu", arguments.finder)
    segmenter._finder_ready()
    result = segmenter.segment(read_volume(path), field_of_view="full")
    if not result.volume_ml:
        raise RuntimeError("The finder found nothing, so the segmentation was not timed.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"full_fov_s": result.seconds, "full_fov_peak_gb": peak / 1e9, "full_fov_volume_ml": result.volume_ml}


def tiny(arguments: argparse.Namespace, folder: Path) -> tuple[list[tuple[Volume, Volume]], VNet, SlidingWindow]:
    """Made-up scans and tiny models, to see that the benchmark runs; its figures mean nothing."""
    import corn_phantoms

    arguments.model = str(corn_phantoms.save_tiny_atrium_model(folder))
    arguments.finder = str(corn_phantoms.save_tiny_finder(folder))
    scans = [corn_phantoms.atrium_scan(seed, (24, 40, 40)) for seed in range(2)]
    scans = [(image.with_array((image.array / 4).clip(0, 255).astype(np.uint8)), truth) for image, truth in scans]
    network = CornNetworkConfig(width=2, depth=2).branch("transposed")
    return scans, VNet(network).eval(), SlidingWindow(window=(16, 16, 16), stride=(4, 4, 4))


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Take the figures that were asked for."""
    torch.manual_seed(0)
    if arguments.tiny:
        scans, network, settings = tiny(arguments, folder)
        spacing_mm, shape = 2.0, (24, 120, 120)
    else:
        scans = validation_scans(arguments.data)
        network = VNet(CornNetworkConfig().branch("transposed")).eval()
        settings = SlidingWindow()
        spacing_mm, shape = 0.625, FULL_SHAPE
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    figures: dict[str, float] = {}
    if "speedup" in arguments.part:
        figures |= measure_speedup(scans[0][0], network, settings, spacing_mm)
    if {"dice", "crop", "finding"} & set(arguments.part):
        segmenter = AtriumSegmenter.load(arguments.model, "cpu", arguments.finder)
        if "crop" in arguments.part:
            figures |= measure_crop(segmenter, scans)
        if "dice" in arguments.part:
            figures |= measure_dice(segmenter, scans)
        if "finding" in arguments.part:
            figures |= measure_finding(segmenter, scans, shape[1] * 3 // 4)
    if "full" in arguments.part:
        figures |= measure_full(*scans[0], arguments, shape)
    return figures


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="model name or file (default: the bundled one)")
    parser.add_argument("--finder", help="finder name or file (default: the bundled one)")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("WHATMATTERS_DATA", "")), help="data folder")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: 2)")
    parser.add_argument("--tiny", action="store_true", help="see that it runs, on made-up scans; figures mean nothing")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--wide", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.wide is not None:
        print(json.dumps(segment_wide(arguments.wide, arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: round(value, 5) for name, value in measure(arguments, Path(folder)).items()}
    for name, value in figures.items():
        limit = f"   ({LIMITS[name][1]} {LIMITS[name][0]:g})" if name in LIMITS else ""
        print(f"{name:32} {value:9.4f}{limit}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
