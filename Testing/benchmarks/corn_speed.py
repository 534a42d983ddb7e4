"""How long a step of CORN takes, against the data flow of the released code in the same run.

python Testing/benchmarks/corn_speed.py [--device cpu|cuda] [--repeats N] [--patch D H W] [--parts-only] [--json FILE]

The batch is the paper's: 2 labelled and 2 unlabelled patches of 80 x 112 x 112 (D, H, W), two V-Nets of 16 filters,
SGD. For the part, branches mostly agree and labels mostly fit, so about as many voxels are agreed and right as late in
a training; whole steps run the networks as they are before training. `code` is compared with the released flow of the
same method (`_corn_released_flow.py`), like with like but for the memory layout of the networks: torch's usual one on
the released side, channels last on ours. `ours` is measured as well. Sides take turns; medians are given.

Figures: seconds of the CORN-specific part (selection, projection, pool, losses; forward and backward down to logits and
features) and of the whole step; `corn_part_speedup` and `step_speedup`, released flow divided by `code`; `pool_share`,
choosing voxels and filling and sampling the pool as a share of a step of `ours`; on CUDA `gpu_step_s`, a whole step of
`ours` with bf16 autocast.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "MaskWhatMatters")]

from _corn_released_flow import ReleasedFlow  # noqa: E402

from MaskWhatMattersLib.corn.batch import CornBatch  # noqa: E402
from MaskWhatMattersLib.corn.loss_config import CornLossConfig  # noqa: E402
from MaskWhatMattersLib.corn.network import CornNetwork, CornNetworkConfig, CornOutput  # noqa: E402
from MaskWhatMattersLib.corn.objectives import make_objective  # noqa: E402
from MaskWhatMattersLib.corn.selection import predict  # noqa: E402
from MaskWhatMattersLib.networks.vnet import VNetOutput  # noqa: E402

LABELLED = 4  # labelled scans whose embeddings the pool holds, the paper's smallest setting
GOALS = {"corn_part_speedup": 4.0, "step_speedup": 1.25, "pool_share": 0.10, "gpu_step_s": 0.15}


class Bench:
    """Networks, batches and the three sides."""

    def __init__(self, device: str, patch: tuple[int, int, int]) -> None:
        torch.manual_seed(0)
        self.device, self.patch = torch.device(device), patch
        shape = CornNetworkConfig()
        self.network = CornNetwork(shape).to(self.device, memory_format=torch.channels_last_3d)
        # The released code keeps torch's usual memory layout; channels last is part of our engine.
        self.released_network = copy.deepcopy(self.network).to(memory_format=torch.contiguous_format)
        losses = CornLossConfig(ramp_steps=0)
        self.ours, self.code = (
            make_objective(mode, shape, losses, LABELLED).to(self.device) for mode in ("ours", "code")
        )
        self.sides = {
            "ours": self.ours.losses,
            "code": self.code.losses,
            "released": ReleasedFlow(self.code).losses,
        }
        weights = [
            *self.network.parameters(),
            *self.released_network.parameters(),
            *self.ours.parameters(),
            *self.code.parameters(),
        ]
        self.optimizer = torch.optim.SGD(weights, lr=1e-4, momentum=0.9, weight_decay=1e-4)

    def smooth(self, channels: int, seed: int) -> torch.Tensor:
        """Smooth noise [4, channels, *patch]."""
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.randn(4, channels, *(side // 8 for side in self.patch), generator=generator)
        grown = torch.nn.functional.interpolate(coarse.to(self.device), size=self.patch, mode="trilinear")
        return grown.contiguous(memory_format=torch.channels_last_3d)

    def output(self) -> tuple[CornOutput, CornBatch]:
        """Logits and features of branches that mostly agree, as leaves, and a batch whose labels mostly fit."""
        logits = 4 * self.smooth(2, 0)
        leaves = []
        for seed in (1, 2):
            noisy = logits + 0.5 * self.smooth(2, seed)
            features = self.smooth(16, 10 + seed) + logits[:, 1:]
            parts = (noisy, features, features.clone())
            leaves.append(VNetOutput(*(part.detach().requires_grad_() for part in parts)))
        changed = torch.rand(2, *self.patch, device=self.device) < 0.05
        labels = logits[:2].argmax(1) ^ changed.long()
        return CornOutput(*leaves), CornBatch(self.smooth(1, 3), labels, torch.arange(4, device=self.device))

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def timed(self, work) -> float:
        """Seconds that something takes."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def part(self, side: str, output: CornOutput, batch: CornBatch) -> float:
        """Seconds of the CORN-specific part, forward and backward."""
        for branch in output:
            for leaf in branch:
                leaf.grad = None
        return self.timed(lambda: self.sides[side](output, batch, 0).total.backward())

    def step(self, side: str, batch: CornBatch) -> float:
        """Seconds of a whole optimizer step."""

        network = self.released_network if side == "released" else self.network
        images = batch.images.contiguous() if side == "released" else batch.images

        def work() -> None:
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
                output = network(images)
            self.sides[side](output, batch, 0).total.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

        return self.timed(work)

    def pool_and_selection(self, output: CornOutput, batch: CornBatch) -> float:
        """Seconds of choosing voxels, filling the pool and drawing from it, mode `ours`."""
        generator = self.ours.generator(0, self.device)

        def work() -> None:
            predictions = predict(output.main.logits), predict(output.auxiliary.logits)
            self.ours.fill_pool(output, batch, predictions, generator)
            self.ours.choose(batch, predictions, generator)
            self.ours.anchors(generator)

        return self.timed(work)


def taking_turns(work: dict, repeats: int) -> dict[str, float]:
    """Median seconds of each, one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 1):
        for name, run in work.items():
            seconds[name].append(run())
            print(f"  {name:24} {seconds[name][-1]:8.3f} s", flush=True)
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}


def measure(device: str, repeats: int, patch: tuple[int, int, int], parts_only: bool) -> dict[str, float]:
    """All figures."""
    bench = Bench(device, patch)
    output, batch = bench.output()
    work = {f"{side}_part_s": lambda side=side: bench.part(side, output, batch) for side in bench.sides}
    work["pool_s"] = lambda: bench.pool_and_selection(output, batch)
    found = taking_turns(work, repeats)
    found["corn_part_speedup"] = found["released_part_s"] / found["code_part_s"]
    found["ours_part_speedup"] = found["released_part_s"] / found["ours_part_s"]
    if parts_only:
        return found
    steps = {f"{side}_step_s": lambda side=side: bench.step(side, batch) for side in bench.sides}
    found |= taking_turns(steps, repeats)
    found["step_speedup"] = found["released_step_s"] / found["code_step_s"]
    found["ours_step_speedup"] = found["released_step_s"] / found["ours_step_s"]
    found["pool_share"] = found["pool_s"] / found["ours_step_s"]
    if device.startswith("cuda"):
        found["gpu_step_s"] = found["ours_step_s"]
    return found


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=3, help="rounds after the one that warms up")
    parser.add_argument("--patch", type=int, nargs=3, default=(80, 112, 112), metavar=("D", "H", "W"))
    parser.add_argument("--parts-only", action="store_true", help="leave out the whole steps")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures = measure(arguments.device, arguments.repeats, tuple(arguments.patch), arguments.parts_only)
    figures = {name: round(value, 4) for name, value in figures.items()}
    for name, value in figures.items():
        goal = f"   (goal {GOALS[name]:g})" if name in GOALS else ""
        print(f"{name:24} {value:8.3f}{goal}")
    print(f"{torch.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
