"""How long a step of masked image modeling takes: against MONAI, by decoder, and what masks cost of it.

python Testing/benchmarks/mim_speed.py [--device cpu|cuda] [--repeats N] [--size N] [--patch N] [--batch N] [--compile]
    [--json FILE]

A step is drawing masks, forward, loss, backward and fused AdamW, on ViT-B and images of 96^3 with patches of 16^3, a
batch of 4, 75 % hidden. Sides take turns; a ratio is the median over the turns of what two neighbours took.

Figures: `mae_step_vs_monai`, `MaskedAutoEncoderViT` with our loss divided by our MAE, both with the decoder of 4 blocks
of 384 features that MONAI has by default but with hidden layers of 4 widths and biases as in ViT-B;
`light_decoder_speedup`, our MAE with 8 blocks of 512 features divided by the one with a single block; `mask_share`,
drawing masks as a share of a step (`region_mask_share`: guided by regions); `host_waits`, operations in a step that
make the host wait for the device: found by their names, and on a GPU also by CUDA itself, where one is an error.

On CUDA also, with bfloat16 and from scans on the GPU to the optimizer: `gpu_crops_per_s` with patches of 16^3 and
`gpu_mfu` with patches of 8^3, both with a decoder of one block.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "MaskWhatMatters")]

from host_waits import HostWaits  # noqa: E402
from MaskWhatMattersLib.datasets.device_scans import DeviceScans  # noqa: E402
from MaskWhatMattersLib.masking.config import MaskingConfig  # noqa: E402
from MaskWhatMattersLib.masking.draw import draw_mask  # noqa: E402
from MaskWhatMattersLib.pretraining.batch import MaskedBatch  # noqa: E402
from MaskWhatMattersLib.pretraining.config import PretrainConfig, TargetConfig  # noqa: E402
from MaskWhatMattersLib.pretraining.images import VALID, PretrainImages  # noqa: E402
from MaskWhatMattersLib.pretraining.losses import reconstruction_loss  # noqa: E402
from MaskWhatMattersLib.pretraining.mae import MAE  # noqa: E402
from MaskWhatMattersLib.pretraining.optimization import make_optimizer  # noqa: E402
from MaskWhatMattersLib.training.throughput import Throughput  # noqa: E402

GOALS = {
    "mae_step_vs_monai": 1.0,
    "light_decoder_speedup": 1.5,
    "mask_share": 0.01,
    "host_waits": 0,
    "gpu_crops_per_s": 2000,
    "gpu_mfu": 0.4,
}
MONAI_DECODER = {"depth": 4, "width": 384, "heads": 12}
LIGHT, HEAVY = ({"depth": depth, "width": 512, "heads": 8} for depth in (1, 8))
GUIDED = MaskingConfig(kind="relevance", inside=0.6, outside=0.2)


def config_of(side: int, patch: int, batch: int, decoder: dict[str, int]) -> PretrainConfig:
    """MAE of a ViT-B."""
    encoder = {"kind": "vit", "image_size": [side] * 3, "patch_size": [patch] * 3}
    return PretrainConfig.model_validate(
        {"encoder": encoder, "decoder": decoder, "size": [side] * 3, "batch_size": batch}
    )


class Ours:
    """Our MAE and its optimizer."""

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.mae = MAE(config).to(device).train()
        self.optimizer = make_optimizer(config, self.mae)
        self.steps = 0

    def step(self, images: Tensor, valid: Tensor) -> None:
        """One step, from drawing masks to the optimizer."""
        self.steps += 1
        mask = draw_mask(self.config.masking, self.config.grid, len(images), seed=self.steps, device=self.device)
        with bf16(self.device):
            loss = self.mae(MaskedBatch(images, mask.hidden, valid)).total
        descend(loss, self.optimizer)


class Monai:
    """MONAI's MAE of the same size with our loss; it draws masks itself."""

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        from monai.networks.nets import MaskedAutoEncoderViT

        self.config, self.device = config, device
        encoder, decoder = config.encoder, config.decoder
        self.mae = MaskedAutoEncoderViT(
            encoder.in_channels,
            encoder.image_size,
            encoder.patch_size,
            hidden_size=encoder.width,
            mlp_dim=round(encoder.width * encoder.mlp_ratio),
            num_layers=encoder.depth,
            num_heads=encoder.heads,
            masking_ratio=config.masking.ratio,
            decoder_hidden_size=decoder.width,
            decoder_mlp_dim=4 * decoder.width,
            decoder_num_layers=decoder.depth,
            decoder_num_heads=decoder.heads,
            qkv_bias=True,
        )
        self.mae.to(device).train()
        self.optimizer = make_optimizer(config, self.mae)

    def step(self, images: Tensor, valid: Tensor) -> None:
        """One step, from drawing masks to the optimizer."""
        with bf16(self.device):
            prediction, hidden = self.mae(images)
            batch = MaskedBatch(images, hidden.bool().unflatten(1, self.config.grid), valid)
            loss = reconstruction_loss(prediction, images, batch, TargetConfig())
        descend(loss, self.optimizer)


def bf16(device: torch.device) -> torch.autocast:
    """As `make_fabric` chooses it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Backward and optimizer."""
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device is done."""
    wait(device)
    started = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - started


def wait(device: torch.device) -> None:
    """Until the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def taking_turns(work: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each in each round, without the first one, which warms up."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 1):
        for name, run in work.items():
            found[name].append(seconds_of(run, device))
            print(f"  {name:24} {found[name][-1]:8.3f} s", flush=True)
    return {name: seconds[1:] for name, seconds in found.items()}


def ratio(found: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over the rounds."""
    return statistics.median(a / b for a, b in zip(found[slow], found[fast], strict=True))


def against_monai(config: PretrainConfig, device: torch.device, repeats: int) -> dict[str, float]:
    """A step of MONAI's MAE and of ours."""
    batch = images_of(config, device)
    monai, ours = Monai(config, device), Ours(config, device)
    work = {"monai_step_s": lambda: monai.step(*batch), "mae_step_s": lambda: ours.step(*batch)}
    found = taking_turns(work, repeats, device)
    sizes = {
        name: sum(weight.numel() for weight in side.mae.parameters() if weight.requires_grad) / 1e6
        for name, side in (("monai_parameters_m", monai), ("mae_parameters_m", ours))
    }
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {**medians, **sizes, "mae_step_vs_monai": ratio(found, "monai_step_s", "mae_step_s")}


def by_decoder(light: PretrainConfig, heavy: PretrainConfig, device: torch.device, repeats: int) -> dict[str, float]:
    """A step with a light and with a heavy decoder, the masks of a step, and what waits in it."""
    batch = images_of(light, device)
    sides = {"heavy_step_s": Ours(heavy, device), "light_step_s": Ours(light, device)}
    work = {name: lambda side=side: side.step(*batch) for name, side in sides.items()}
    found = taking_turns(work, repeats, device)
    region = torch.zeros_like(batch[1])
    region[:, : light.size[0] // 2] = True
    masks = {"mask_s": (light.masking, None), "region_mask_s": (GUIDED, region)}
    draws = {
        name: lambda masking=masking, region=region: draw_mask(
            masking, light.grid, light.batch_size, seed=1, device=device, region=region
        )
        for name, (masking, region) in masks.items()
    }
    found |= taking_turns(draws, 10 * repeats, device)
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {
        **medians,
        "light_decoder_speedup": ratio(found, "heavy_step_s", "light_step_s"),
        "mask_share": medians["mask_s"] / medians["light_step_s"],
        "region_mask_share": medians["region_mask_s"] / medians["light_step_s"],
        "host_waits": host_waits(lambda: sides["light_step_s"].step(*batch), device),
    }


def host_waits(step: Callable[[], object], device: torch.device) -> int:
    """Operations in a step that make the host wait; on CUDA the first one is an error."""
    with HostWaits() as waits:
        step()
    print(f"  waits: {waits.found}")
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return len(waits.found)


def images_of(config: PretrainConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Noise, all of it valid."""
    torch.manual_seed(0)
    images = torch.randn(config.batch_size, 1, *config.size, device=device)
    return images, torch.ones(config.batch_size, *config.size, dtype=torch.bool, device=device)


def end_to_end(config: PretrainConfig, device: torch.device, seconds: float, compiles: bool) -> dict[str, float]:
    """Throughput from bytes on the GPU to the optimizer, and the largest memory."""
    scans = [torch.randint(256, (160, 192, 192), dtype=torch.uint8) for _ in range(64)]
    marks = [torch.full_like(scan, VALID) for scan in scans]
    batches = PretrainImages(config, DeviceScans(scans, marks, device))
    side, meter = Ours(config, device), Throughput(device)

    def step() -> None:
        with meter.loading():
            batch, _ = batches.batch(side.steps)
        side.steps += 1
        with bf16(device):
            loss = side.mae(batch).total
        descend(loss, side.optimizer)
        meter.step(config.batch_size, config.batch_size * math.prod(config.grid))

    def work() -> None:
        with bf16(device):
            loss = side.mae(batches.batch(0)[0]).total
        loss.backward()

    meter.count(work, config.batch_size)
    side.optimizer.zero_grad()
    if compiles:
        side.mae.compile(dynamic=False)
    for _ in range(5):
        step()
    wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    meter.report()
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(10):
            step()
        wait(device)
    return {**meter.report(), "peak_gb": torch.cuda.max_memory_allocated(device) / 2**30}


def on_a_gpu(side: int, device: torch.device, compiles: bool) -> dict[str, float]:
    """What only a GPU can show."""
    found = {}
    for name, patch, batch in (("patch16", 16, 512), ("patch8", 8, 128)):
        figures = end_to_end(config_of(side, patch, batch, LIGHT), device, 15, compiles)
        found |= {f"gpu_{name}_{figure}": value for figure, value in figures.items()}
        free()
    return {**found, "gpu_crops_per_s": found["gpu_patch16_samples_per_s"], "gpu_mfu": found["gpu_patch8_mfu"]}


def free() -> None:
    """Give back what the last measurement held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=5, help="rounds after the one that warms up")
    parser.add_argument("--size", type=int, default=96, help="voxels along each axis")
    parser.add_argument("--patch", type=int, default=16, help="voxels of a token along each axis")
    parser.add_argument("--batch", type=int, default=4, help="images per step")
    parser.add_argument("--compile", action="store_true", help="compile the networks of the GPU figures")
    parser.add_argument("--json", type=Path, help="write the figures here")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    monai, light, heavy = (
        config_of(chosen.size, chosen.patch, chosen.batch, decoder) for decoder in (MONAI_DECODER, LIGHT, HEAVY)
    )
    figures = against_monai(monai, device, chosen.repeats)
    free()
    figures |= by_decoder(light, heavy, device, chosen.repeats)
    free()
    if device.type == "cuda":
        figures |= on_a_gpu(chosen.size, device, chosen.compile)
    figures = {name: round(value, 4) for name, value in figures.items()}
    for name, value in figures.items():
        goal = f"   (goal {GOALS[name]:g})" if name in GOALS else ""
        print(f"{name:28} {value:10.4f}{goal}")
    print(f"{torch.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
