"""How long in-context segmentation takes, against a literal implementation of the method in the same run.

python Testing/benchmarks/mass_speed.py [--device cpu|cuda] [--model FILE|NAME] [--size NAME] [--quick] [--target-only]
    [--json FILE]

The same network encodes 10 references x 5 labels and segments one volume of 192 x 192 x 128 voxels (1.5 mm), made-up
bodies with five organs, once by the library and once literally (`_mass_literal.py`): both with windows that overlap by
a quarter and with tokens averaged over the references, both including the preparation of the scans. The network is that
of --model, else the bundled one; where that is not there either, one of --size with random weights, which never finds
a window to skip. --quick takes 3 references and volumes with half the sides.

Figures: seconds of both sides; `encode_speedup`; `segment_speedup`, encoding and segmentation together, literal divided
by ours with our default of skipping windows; `every_window_speedup`, the same without skipping; `segment_max_diff`, the
largest difference of a probability to the literal joint run with skipping off; `skipping_dice_delta`, mean Dice with
skipping minus without. Those with `cpu` count processor time, which other work on the machine changes little. Where
WHATMATTERS_DATA is set and a trained model is there, `target_s` (`gpu_target_s` on CUDA): seconds for one abdominal MR
(chaos) with its 4 labels, one reference, default settings, quality estimate included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "MaskWhatMatters")]

from _mass_literal import LiteralMass  # noqa: E402

from MaskWhatMattersLib.errors import InputError  # noqa: E402
from MaskWhatMattersLib.mass.examples import example_from_label_map  # noqa: E402
from MaskWhatMattersLib.mass.segment import InContextSegmenter  # noqa: E402
from MaskWhatMattersLib.mass.settings import SegmentSettings  # noqa: E402
from MaskWhatMattersLib.volumes import read_volume, resample_to_spacing  # noqa: E402
from mass_phantoms import NAMES, dice_per_label, organ_subject  # noqa: E402

GOALS = {"segment_speedup": 3.0, "segment_max_diff": 1e-4, "target_s": 60.0, "gpu_target_s": 2.0}
OVERLAP = 0.25
SPACING_MM = 1.5
CHAOS = "chaos_abdomen_mr_t2"
CHAOS_LABELS = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}


class Bench:
    """A network, made-up references and a made-up volume, and both sides."""

    def __init__(self, segmenter: InContextSegmenter, references: int, half: int) -> None:
        self.segmenter = segmenter
        print(f"Making up {references + 1} bodies of {4 * half} x {4 * half} x {8 * half // 3} voxels", flush=True)
        self.examples = [example_from_label_map(*self.subject(seed, half), NAMES) for seed in range(1, references + 1)]
        self.volume, self.truth = self.subject(0, half)
        side = segmenter.network.config.window
        with torch.inference_mode():  # the first pass prepares the kernels
            segmenter.network.encode_image(torch.zeros(1, 1, side, side, side, device=segmenter.device))

    def subject(self, seed: int, half: int):
        """A body drawn at half the resolution, and then enlarged, which takes a tenth of the time."""
        shape = (4 * half // 3, 2 * half, 2 * half)
        image, labels = organ_subject(seed, shape, (2 * SPACING_MM,) * 3)
        return resample_to_spacing(image, SPACING_MM), resample_to_spacing(labels, SPACING_MM, "nearest")

    def measure(self) -> dict[str, float]:
        """All figures of both sides."""
        found: dict[str, float] = {}
        task = timed(found, "encode_s", lambda: self.segmenter.encode(self.examples))
        literal = LiteralMass(self.segmenter.network, self.segmenter.preprocessing, task.spacing_mm)
        tokens = timed(found, "literal_encode_s", lambda: literal.encode(self.examples))
        ours = timed(found, "segment_s", lambda: self.segment(task, skip_empty=True))
        every = timed(found, "every_window_s", lambda: self.segment(task, skip_empty=False))
        wanted = timed(found, "literal_segment_s", lambda: literal.segment(self.volume, tokens, OVERLAP))
        dice = [dice_per_label(each.label_map.array, self.truth.array).mean() for each in (ours, every)]
        return found | {
            "encode_speedup": found["literal_encode_s"] / found["encode_s"],
            "segment_speedup": speedup(found, "segment_s"),
            "segment_speedup_cpu": speedup(found, "segment_s", "_cpu"),
            "every_window_speedup": speedup(found, "every_window_s"),
            "every_window_speedup_cpu": speedup(found, "every_window_s", "_cpu"),
            "segment_max_diff": float(np.abs(every.probabilities.array - wanted).max()),
            "skipping_dice_delta": float(dice[0] - dice[1]),
            "windows": every.windows,
            "windows_looked_at": ours.windows_looked_at,
        }

    def segment(self, task, *, skip_empty: bool):
        """Segment the volume with tokens averaged over all references."""
        settings = SegmentSettings(
            skip_empty=skip_empty,
            overlap=OVERLAP,
            retrieval=False,
            quality=False,
            keep_probabilities=not skip_empty,
            precision="fp32",
        )
        return self.segmenter.segment(self.volume, task, settings)


def real_target(segmenter: InContextSegmenter, folder: Path) -> dict[str, float]:
    """Seconds for one abdominal MR of the kit by one other as the example, default settings."""
    from MaskWhatMattersLib.datasets.manifest import read_manifest

    rows = [row for row in read_manifest(folder) if row.dataset == CHAOS and row.label_map is not None]
    reference = next(row for row in rows if row.split == "train")
    target = next(row for row in rows if row.split == "test")
    image, truth = read_volume(target.image, modality="MR"), read_volume(target.label_map).array
    example = example_from_label_map(
        read_volume(reference.image, modality="MR"), read_volume(reference.label_map), CHAOS_LABELS
    )
    name = "gpu_target" if segmenter.device.type == "cuda" else "target"
    found: dict[str, float] = {}
    task = timed(found, f"{name}_encode_s", lambda: segmenter.encode([example]))
    result = timed(found, f"{name}_s", lambda: segmenter.segment(image, task))
    if segmenter.device.type == "cuda":  # kernels are chosen in the first run
        result = timed(found, f"{name}_s", lambda: segmenter.segment(image, task))
    pairs = [(result.label_map.array == value, truth == value) for value in CHAOS_LABELS]
    dice = [2 * (one & other).sum() / max(1, one.sum() + other.sum()) for one, other in pairs]
    return found | {
        f"{name}_dice": float(np.mean(dice)),
        f"{name}_windows": result.windows,
        f"{name}_windows_looked_at": result.windows_looked_at,
    }


def speedup(found: dict[str, float], ours: str, clock: str = "") -> float:
    """Encoding and segmentation together, literal divided by ours."""
    literal = found[f"literal_encode_s{clock}"] + found[f"literal_segment_s{clock}"]
    return literal / (found[f"encode_s{clock}"] + found[f"{ours}{clock}"])


def timed(found: dict[str, float], name: str, work):
    """What something gives; its seconds go to `found`."""
    started, used = time.perf_counter(), time.process_time()
    result = work()  # ends with arrays on the host, so the device is done
    found[name], found[f"{name}_cpu"] = time.perf_counter() - started, time.process_time() - used
    print(f"  {name:24} {found[name]:8.2f} s, {found[f'{name}_cpu']:8.2f} s of processor time", flush=True)
    return result


def load(model: str | None, size: str, device: str) -> tuple[InContextSegmenter, bool]:
    """The segmenter, and whether its model was trained."""
    try:
        return InContextSegmenter.load(model, device), True
    except InputError as error:
        if model is not None:
            raise
        print(f"Random weights, so that nothing can be skipped: {error}")
    with tempfile.TemporaryDirectory() as folder:
        return InContextSegmenter.load(random_model(Path(folder), size), device), False


def random_model(folder: Path, size: str) -> Path:
    """A network with random weights."""
    from MaskWhatMattersLib.mass.model_files import save_mass
    from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
    from MaskWhatMattersLib.networks.mass_config import PRESETS
    from MaskWhatMattersLib.networks.mass_network import MassNetwork

    torch.manual_seed(0)
    path = folder / "mass-random.safetensors"
    network, preprocessing = MassNetwork(PRESETS[size]), MassPreprocessing()
    save_mass(path, network, preprocessing, version="0", description="Random.", licence="none")
    return path


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--model", help="model name or file; the bundled one unless given")
    parser.add_argument("--size", choices=("tiny", "small", "official"), default="tiny", help="where there is no model")
    parser.add_argument("--quick", action="store_true", help="3 references, half the volume")
    parser.add_argument("--target-only", action="store_true", help="leave out the comparison with the literal side")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    segmenter, is_trained = load(arguments.model, arguments.size, arguments.device)
    config = segmenter.network.config
    print(f"{segmenter.name}: {config.width} channels, windows of {config.window}, {arguments.device}")
    figures: dict[str, float] = {}
    if not arguments.target_only:
        figures |= Bench(segmenter, *((3, 24) if arguments.quick else (10, 48))).measure()
    data = Path(os.environ.get("WHATMATTERS_DATA") or "nowhere")
    if (data / CHAOS).is_dir() and (is_trained or arguments.target_only):
        figures |= real_target(segmenter, data)
    else:
        print("No target: it needs a trained model and the folder of real scans (WHATMATTERS_DATA).")
    figures = {name: round(float(value), 7) for name, value in figures.items()}
    for name, value in figures.items():
        goal = f"   (goal {GOALS[name]:g})" if name in GOALS else ""
        print(f"{name:28} {value:10.5g}{goal}")
    print(f"{torch.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
