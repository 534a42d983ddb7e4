"""Training of the builtin network, end to end on phantoms."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from MaskWhatMattersLib.networks.concept_unet import ConceptLogits
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance.builtin.sources import CONCEPTS, load_cases
from MaskWhatMattersLib.relevance.builtin.train import (
    Batch,
    BuiltinTrainingConfig,
    SliceSampler,
    asked_concepts,
    concept_loss,
    train,
)
from MaskWhatMattersLib.training.engine import CHECKPOINT
from phantoms import write_data_folder

TINY = BuiltinTrainingConfig(
    permissive_only=False, widths=(8, 8), batch=2, steps=6, save_every=2, validate_every=0, warmup=2, distractors=1
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data_folder(tmp_path_factory.mktemp("data"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / CHECKPOINT, weights_only=True)["model"]


def test_a_resumed_run_ends_with_the_same_weights(data, tmp_path):
    train(TINY, data, tmp_path / "whole", SilentProgress(), device="cpu")

    class StopAfter:
        count = 0

        def stage(self, text, total=0):
            self.training = text == "Training"

        def step(self, count=1, message=""):
            self.count += self.training
            if self.count == 5:
                raise KeyboardInterrupt

        def log(self, text):
            pass

    with pytest.raises(KeyboardInterrupt):
        train(TINY, data, tmp_path / "killed", StopAfter(), device="cpu")
    train(TINY, data, tmp_path / "killed", SilentProgress(), device="cpu")
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "killed")[name]), name


def test_a_batch_is_a_pure_function_of_its_seed(data):
    sampler = SliceSampler(load_cases(data, "train", permissive_only=False, progress=SilentProgress()), TINY)
    first, again, other = sampler.batch(1), sampler.batch(1), sampler.batch(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.images, other.images)


def random_batch() -> tuple[Batch, ConceptLogits, torch.Tensor]:
    torch.manual_seed(0)
    concepts = len(CONCEPTS)
    masks = torch.rand(2, concepts, 8, 8) > 0.5
    masks[:, 3] = False
    masks[0, 5] = False
    batch = Batch(
        images=torch.rand(2, 3, 8, 8),
        masks=masks,
        valid=torch.rand(2, 8, 8) > 0.1,
        known=torch.rand(2, concepts) > 0.3,
        near=torch.arange(concepts).expand(2, -1) % 2 == 1,
        modality=torch.tensor([0, 1]),
    )
    masks[:, 8] = False
    asked = torch.tensor([1, 3, 5, 8])
    logits = ConceptLogits(torch.randn(2, 4, 8, 8), torch.randn(2, 4), torch.randn(2, 3))
    return batch, logits, asked


def test_the_loss_equals_a_literal_one():
    batch, logits, asked = random_batch()
    sums: dict[str, list[float]] = {"dice": [], "present": [], "near": [], "far": []}
    for b in range(2):
        for slot, k in enumerate(asked.tolist()):
            if not batch.known[b, k]:
                continue
            valid = batch.valid[b]
            truth, logit = batch.masks[b, k][valid].float(), logits.pixels[b, slot][valid]
            ce = functional.binary_cross_entropy_with_logits(logit, truth).item()
            presence = logits.presence[b, slot]
            if truth.sum() >= 4:
                p = logit.sigmoid()
                sums["dice"].append(1 - ((2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)).item())
                sums["present"].append(ce + 0.3 * functional.softplus(-presence).item())
            elif truth.sum() == 0:
                group = "near" if batch.near[b, k] else "far"
                sums[group].append(ce + 0.3 * functional.softplus(presence).item())
    mean = {name: sum(values) / max(1, len(values)) for name, values in sums.items()}
    modality = functional.cross_entropy(logits.modality, batch.modality).item()
    expected = sum(mean.values()) + 0.1 * modality
    assert concept_loss(logits, batch, asked, TINY).item() == pytest.approx(expected, rel=1e-5)


def test_what_is_unknown_does_not_move_the_loss():
    batch, logits, asked = random_batch()
    unknown = ~batch.known[:, asked]
    changed = logits.pixels.clone()
    changed[unknown] += 10
    changed += 5 * (~batch.valid)[:, None]
    other = logits._replace(pixels=changed)
    assert unknown.any()
    torch.testing.assert_close(concept_loss(logits, batch, asked, TINY), concept_loss(other, batch, asked, TINY))


def test_concepts_in_the_batch_are_asked_and_some_others():
    batch, _, _ = random_batch()
    only = batch._replace(masks=torch.zeros_like(batch.masks))
    only.masks[0, 7] = True
    asked = asked_concepts(only, distractors=2, seed=0)
    assert 7 in asked
    assert len(asked) == 3


def test_a_run_that_is_killed_hard_resumes(data, tmp_path):
    run = tmp_path / "run"
    code = (
        "from pathlib import Path; import sys; from MaskWhatMattersLib.progress import SilentProgress\n"
        "from MaskWhatMattersLib.relevance.builtin.train import BuiltinTrainingConfig, train\n"
        "c = BuiltinTrainingConfig(permissive_only=False, widths=(8, 8), batch=2, steps=5000, save_every=2,\n"
        "                          validate_every=0, warmup=2, distractors=1)\n"
        "train(c, Path(sys.argv[1]), Path(sys.argv[2]), SilentProgress(), device='cpu')\n"
    )
    library = Path(__file__).parents[4] / "MaskWhatMatters"
    environment = {
        "PYTHONPATH": str(library),
        "OMP_NUM_THREADS": "1",
    }  # two threads starve each other on a busy machine
    process = subprocess.Popen([sys.executable, "-c", code, str(data), str(run)], env=environment)
    deadline = time.monotonic() + 120
    while not (run / CHECKPOINT).is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.kill()
    process.wait()
    step = torch.load(run / CHECKPOINT, weights_only=True)["step"]
    longer = TINY.model_copy(update={"steps": 5000})

    class StopSoon:
        def stage(self, text, total=0):
            self.remaining = total if text == "Training" else None

        def step(self, count=1, message=""):
            if self.remaining is not None:
                raise KeyboardInterrupt

        def log(self, text):
            pass

    progress = StopSoon()
    with pytest.raises(KeyboardInterrupt):
        train(longer, data, run, progress, device="cpu")
    assert progress.remaining == 5000 - step


def test_the_log_holds_the_curve(data, tmp_path):
    config = TINY.model_copy(update={"steps": 50, "widths": (8, 8), "batch": 1})
    train(config, data, tmp_path, SilentProgress(), device="cpu")
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert rows[-1]["step"] == "50"
    assert float(rows[-1]["loss"]) > 0
