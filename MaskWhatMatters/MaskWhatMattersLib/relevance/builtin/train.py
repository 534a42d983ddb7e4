"""Training of the builtin network: `python -m MaskWhatMattersLib.relevance.builtin.train --data DIR --output DIR`."""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.datasets.augment import AugmentConfig, random_affine, recolour, warp
from MaskWhatMattersLib.networks.concept_unet import ConceptLogits, ConceptUNet, ConceptUNetConfig
from MaskWhatMattersLib.progress import PrintedProgress, Progress
from MaskWhatMattersLib.relevance.builtin.slices import stack_context
from MaskWhatMattersLib.relevance.builtin.sources import (
    CONCEPTS,
    IGNORED,
    MIRRORED,
    MODALITIES,
    SlicedCase,
    load_cases,
    lookup_table,
)
from MaskWhatMattersLib.training.engine import (
    AveragedWeights,
    RunningMeans,
    TrainingLog,
    due,
    load_checkpoint,
    make_fabric,
    save_checkpoint,
    set_learning_rate,
    step_seed,
    warmup_cosine,
)

MIN_PIXELS = 4
"""A structure with fewer pixels in a slice is neither present nor absent there."""


class BuiltinTrainingConfig(BaseModel):
    """Settings of the builtin network's training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    permissive_only: bool = Field(True, description="Use only sets whose licence permits any use.")
    widths: tuple[int, ...] = Field((32, 64, 128, 192, 192), description="Channels per level of the network.")
    steps: int = Field(6000, ge=1, description="Optimizer steps.")
    batch: int = Field(8, ge=1, description="Slices per step.")
    learning_rate: float = Field(1.5e-3, gt=0, description="Peak of the schedule.")
    weight_decay: float = Field(1e-3, ge=0, description="AdamW weight decay.")
    warmup: int = Field(200, ge=1, description="Steps of linear warm-up.")
    average: float = Field(0.998, ge=0, lt=1, description="Decay of the averaged weights, which are what ships.")
    foreground_share: float = Field(0.65, ge=0, le=1, description="Share of slices that hold something labelled.")
    distractors: int = Field(5, ge=0, description="Concepts per step asked beside those labelled in the batch.")
    presence_weight: float = Field(0.3, ge=0, description="Weight of the is-it-there loss.")
    modality_weight: float = Field(0.1, ge=0, description="Weight of the modality loss.")
    max_gradient_norm: float = Field(5.0, gt=0, description="Gradients longer than this are shortened.")
    seed: int = Field(0, ge=0, description="Seed of everything random.")
    validate_every: int = Field(1500, ge=0, description="Steps between validations; 0: never.")
    save_every: int = Field(200, ge=1, description="Steps between checkpoints.")
    augment: AugmentConfig = Field(AugmentConfig(), description="Augmentation.")

    def network(self) -> ConceptUNetConfig:
        """Configuration of the network that these settings train."""
        return ConceptUNetConfig(widths=self.widths, concepts=CONCEPTS, modalities=MODALITIES)


class Batch(NamedTuple):
    """Slices with what is known about them.

    Attributes:
        images: [B, 3, H, W] in 0..1.
        masks: bool [B, K, H, W].
        valid: bool [B, H, W], False where nothing is known.
        known: bool [B, K].
        near: bool [B, K], whether the concept belongs to the part of the body that the image shows.
        modality: index, [B].
    """

    images: Tensor
    masks: Tensor
    valid: Tensor
    known: Tensor
    near: Tensor
    modality: Tensor


class SliceSampler:
    """Draws batches from sliced cases; a batch is a pure function of its seed."""

    def __init__(self, cases: list[SlicedCase], config: BuiltinTrainingConfig) -> None:
        self.config = config
        self.groups: dict[str, list[SlicedCase]] = defaultdict(list)
        for case in cases:
            is_empty = not ((case.labels > 0) & (case.labels < IGNORED)).any()
            self.groups[f"{case.source.name}{', nothing there' * is_empty}"].append(case)
        self.names = sorted(self.groups)
        self.weights = torch.tensor([self.groups[name][0].source.weight for name in self.names])
        self.tables = {case.source.name: lookup_table(case.source) for case in cases}
        self.mirror = torch.tensor([CONCEPTS.index(MIRRORED.get(name, name)) for name in CONCEPTS])
        self.labelled = {
            id(case): torch.nonzero(((case.labels > 0) & (case.labels < IGNORED)).flatten(1).any(1)).flatten()
            for case in cases
        }

    def batch(self, seed: int) -> Batch:
        """The batch that belongs to a seed, augmented."""
        generator = torch.Generator().manual_seed(seed)
        samples = [self._sample(generator) for _ in range(self.config.batch)]
        images = torch.stack([image for image, *_ in samples]).float() / 255
        labels = torch.stack([label for _, label, *_ in samples])
        affine = random_affine(len(samples), self.config.augment, generator)
        flipped = torch.rand(len(samples), generator=generator) < 0.5
        flipped &= torch.tensor([case.source.mirrored for *_, case in samples])
        affine[flipped, :, 0] *= -1
        images, labels = warp(images, labels, affine, IGNORED)
        images = recolour(images, self.config.augment, generator)
        masks = torch.stack(
            [self.tables[case.source.name][label.long()] for label, (*_, case) in zip(labels, samples, strict=True)]
        ).movedim(-1, 1)
        known = torch.stack([known for _, _, known, _ in samples])
        near = torch.stack([self.tables[case.source.name].any(0) for *_, case in samples])
        masks[flipped], known[flipped] = masks[flipped][:, self.mirror], known[flipped][:, self.mirror]
        modality = torch.tensor([MODALITIES.index(case.source.modality) for *_, case in samples])
        return Batch(images, masks, labels != IGNORED, known, near, modality)

    def _sample(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, SlicedCase]:
        def draw(count: int) -> int:
            return int(torch.randint(count, (1,), generator=generator))

        name = self.names[int(torch.multinomial(self.weights, 1, generator=generator))]
        case = self.groups[name][draw(len(self.groups[name]))]
        labelled = self.labelled[id(case)]
        wants_label = float(torch.rand(1, generator=generator)) < self.config.foreground_share
        index = int(labelled[draw(len(labelled))]) if wants_label and len(labelled) else draw(len(case.images))
        image = stack_context(case.images, torch.tensor([index]), case.context)[0]
        return image, case.labels[index], case.known[index], case


def concept_loss(logits: ConceptLogits, batch: Batch, asked: Tensor, config: BuiltinTrainingConfig) -> Tensor:
    """Cross entropy and Dice where the truth is known, plus presence and modality.

    Pairs of image and concept fall into three groups that count the same, however many there are of each: present,
    absent though the image shows that part of the body (the hard ones), and absent because it shows another part.

    Args:
        logits: For the concepts `asked`.
        batch: The truth for all concepts.
        asked: Indices of concepts, [K'].
        config: Weights of the parts.
    """
    masks, known = batch.masks[:, asked].float(), batch.known[:, asked]
    valid = batch.valid[:, None].float()
    area = (masks * valid).flatten(2).sum(-1)
    present, absent, near = known & (area >= MIN_PIXELS), known & (area == 0), batch.near[:, asked]
    pixel_loss = functional.binary_cross_entropy_with_logits(logits.pixels.float(), masks, reduction="none")
    cross_entropy = (pixel_loss * valid).flatten(2).sum(-1) / valid.flatten(2).sum(-1).clamp(min=1)
    probability = logits.pixels.float().sigmoid() * valid
    overlap = (probability * masks).flatten(2).sum(-1)
    dice = 1 - (2 * overlap + 1) / (probability.flatten(2).sum(-1) + area + 1)
    target = present.float()
    presence = functional.binary_cross_entropy_with_logits(logits.presence.float(), target, reduction="none")
    modality = functional.cross_entropy(logits.modality.float(), batch.modality)
    pixels_and_presence = cross_entropy + config.presence_weight * presence
    groups = (present, absent & near, absent & ~near)
    balanced = torch.stack([_mean(pixels_and_presence, group) for group in groups]).sum()
    return _mean(dice, present) + balanced + config.modality_weight * modality


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def asked_concepts(batch: Batch, distractors: int, seed: int) -> Tensor:
    """Concepts labelled somewhere in the batch, and a few others, sorted indices [K']."""
    labelled = batch.masks.flatten(2).any(-1).any(0)
    order = torch.randperm(len(labelled), generator=torch.Generator().manual_seed(seed))
    others = order[~labelled[order]][:distractors]
    return torch.cat([labelled.nonzero().flatten(), others]).sort().values


def train(config: BuiltinTrainingConfig, data: Path, output: Path, progress: Progress, device: str = "auto") -> Path:
    """Train, resuming where the output folder left off.

    Args:
        config: Settings.
        data: Folder with MANIFEST.csv.
        output: Gets checkpoint.ckpt and log.csv.
        progress: Told of every step.
        device: "auto", "cpu" or "cuda".

    Returns:
        The folder with the last checkpoint.
    """
    # fp32 masters with bf16 arithmetic: on processors with AVX512-BF16 twice as fast as fp32.
    fabric = make_fabric(device, "bf16")
    fabric.seed_everything(config.seed, verbose=False)
    sampler = SliceSampler(load_cases(data, "train", permissive_only=config.permissive_only, progress=progress), config)
    validation = load_cases(data, "val", permissive_only=config.permissive_only, progress=progress)
    network = ConceptUNet(config.network())
    averaged = AveragedWeights(network.to(fabric.device), config.average)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    model, optimizer = fabric.setup(network, optimizer)
    means = RunningMeans()
    state: dict[str, Any] = {
        "model": model,
        "optimizer": optimizer,
        "averaged": averaged,
        "means": means,
        "step": 0,
        "config": config.model_dump(mode="json"),
    }
    load_checkpoint(fabric, state, output)
    log = TrainingLog(output, state["step"], active=fabric.is_global_zero)
    progress.stage("Training", total=config.steps - state["step"])
    started = time.monotonic()
    while state["step"] < config.steps:
        seed = step_seed(config.seed, fabric.global_rank, state["step"])
        batch = Batch(*(part.to(fabric.device) for part in sampler.batch(seed)))
        asked = asked_concepts(batch, config.distractors, seed).to(fabric.device)
        factor = warmup_cosine(state["step"], warmup=config.warmup, total=config.steps)
        set_learning_rate(optimizer, config.learning_rate * factor)
        loss = concept_loss(model(batch.images, asked), batch, asked, config)
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=config.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        state["step"] += 1
        averaged.update(network, state["step"])
        means.add({"loss": loss})
        progress.step(message=f"loss {float(loss.detach()):.3f}")
        if due(state["step"], 50):
            log.write(state["step"], {**means.take(), "seconds": round(time.monotonic() - started, 1)})
        if due(state["step"], config.save_every) or state["step"] == config.steps:
            save_checkpoint(fabric, state, output)
        if due(state["step"], config.validate_every):
            for name, value in validate(network, averaged, validation).items():
                progress.log(f"step {state['step']}: {name}: {value:.3f}")
    return output


@torch.no_grad()
def validate(
    network: ConceptUNet, averaged: AveragedWeights, cases: list[SlicedCase], limit: int = 400
) -> dict[str, float]:
    """Dice per concept and presence accuracy of the averaged weights, over at most `limit` slices."""
    everything = [(case, index) for case in cases for index in range(len(case.images))]
    chosen = everything[:: max(1, len(everything) // limit)]
    overlap, total = torch.zeros(len(CONCEPTS)), torch.zeros(len(CONCEPTS))
    right = {True: torch.zeros(2), False: torch.zeros(2)}
    with averaged.applied_to(network):
        network.eval()
        for case, index in chosen:
            images = stack_context(case.images, torch.tensor([index]), case.context).float() / 255
            logits = network(images.to(next(network.parameters()).device))
            truth = lookup_table(case.source)[case.labels[index].long()].movedim(-1, 0)
            valid, known = (case.labels[index] != IGNORED), case.known[index]
            predicted = (logits.pixels[0].cpu() > 0) & valid & known[:, None, None]
            overlap += (predicted & truth).flatten(1).sum(1)
            total += predicted.flatten(1).sum(1) + (truth & known[:, None, None]).flatten(1).sum(1)
            present = truth.flatten(1).sum(1) >= MIN_PIXELS
            for value in (True, False):
                picked = known & (present == value)
                hits = ((logits.presence[0].cpu() > 0) == value)[picked]
                right[value] += torch.tensor([hits.sum(), len(hits)])
    network.train()
    scores = {f"dice {name}": float(2 * overlap[k] / total[k]) for k, name in enumerate(CONCEPTS) if total[k] > 0}
    scores["present called present"] = float(right[True][0] / right[True][1].clamp(min=1))
    scores["absent called absent"] = float(right[False][0] / right[False][1].clamp(min=1))
    return scores


def main() -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with MANIFEST.csv")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint and log; an existing one is resumed")
    parser.add_argument("--research", action="store_true", help="use the research-only sets too")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=BuiltinTrainingConfig().steps)
    parser.add_argument("--batch", type=int, default=BuiltinTrainingConfig().batch)
    arguments = parser.parse_args()
    config = BuiltinTrainingConfig(permissive_only=not arguments.research, steps=arguments.steps, batch=arguments.batch)
    train(config, arguments.data, arguments.output, PrintedProgress(), arguments.device)


if __name__ == "__main__":
    main()
