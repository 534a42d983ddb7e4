"""The loop of a pretraining: it learns, stops, goes on exactly, and leaves an encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.models import read_model
from MaskWhatMattersLib.networks.encoders import ENCODER_CONFIG, make_encoder
from MaskWhatMattersLib.pretraining.batch import MaskedBatch, ViewsBatch
from MaskWhatMattersLib.pretraining.estimate import estimate
from MaskWhatMattersLib.pretraining.train import portions, train
from MaskWhatMattersLib.pretraining.trained_model import begin_run, export_model
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT
from MaskWhatMattersLib.training.points import parse_picture, parse_point
from tiny_pretraining import tiny

METHODS = ("spark", "mae", "simmim", "simclr")
CASES = ImageCases((ImageCase("a", Path("a.png"), "a"),))


class Listening(SilentProgress):
    """Keeps log lines, and stops at a step."""

    def __init__(self, stop_at: int = 0) -> None:
        self.lines: list[str] = []
        self.steps = 0
        self.stop_at = stop_at

    def log(self, text: str) -> None:
        self.lines.append(text)

    def step(self, count: int = 1, message: str = "") -> None:
        self.steps += count
        if self.steps == self.stop_at:
            raise JobCancelledError


def stored(folder):
    return torch.load(folder / CHECKPOINT, weights_only=True)["module"]


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_training_ends_where_an_undisturbed_one_does(method, images, tmp_path):
    config = tiny(method)
    train(config, images, tmp_path / "whole", device="cpu")
    with pytest.raises(JobCancelledError):
        train(config, images, tmp_path / "parts", Listening(stop_at=3), "cpu")
    train(config, images, tmp_path / "parts", device="cpu")
    whole, parts = stored(tmp_path / "whole"), stored(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert (tmp_path / "whole" / "log.csv").read_text().count("\n") == 5


@pytest.mark.parametrize("method", METHODS[:3])
def test_the_loss_falls(method, images, tmp_path):
    heard = Listening()
    train(tiny(method, steps=40, picture_every=0, save_every=0), images, tmp_path, heard, "cpu")
    losses = [point[1]["loss"] for line in heard.lines if (point := parse_point(line))]
    assert sum(losses[-8:]) < 0.95 * sum(losses[:8])


def test_points_tell_what_was_hidden_inside_and_outside(images, tmp_path):
    heard = Listening()
    masking = {"kind": "relevance", "inside": 1.0, "outside": 0.0, "rule": "nearest"}
    train(tiny(masking=masking, region={"source": "labels"}), images, tmp_path, heard, "cpu")
    values = next(point[1] for line in heard.lines if (point := parse_point(line)))
    assert values["hidden_inside"] == 1
    assert values["hidden_outside"] == 0
    assert values["samples_per_s"] > 0


def test_pictures_come_when_due(images, tmp_path):
    heard = Listening()
    train(tiny(), images, tmp_path, heard, "cpu")
    pictures = [picture for line in heard.lines if (picture := parse_picture(line))]
    assert [step for step, _ in pictures] == [2, 4]
    assert all(png.startswith(b"\x89PNG") for _, png in pictures)


def test_other_settings_do_not_resume(images, tmp_path):
    train(tiny(), images, tmp_path, device="cpu")
    with pytest.raises(InputError, match="learning_rate"):
        train(tiny(learning_rate=0.02), images, tmp_path, device="cpu")


def test_a_diverged_training_says_so(images, tmp_path):
    with pytest.raises(InputError, match="lower learning_rate"):
        train(tiny(learning_rate=1e30, clip=0.0, steps=20, warmup=0.0), images, tmp_path, device="cpu")


def test_epochs_count_the_images(images, tmp_path):
    train(tiny(epochs=2, batch_size=3), images, tmp_path, device="cpu")
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 4


def test_a_budget_shortens_the_training(images, tmp_path):
    train(tiny(minutes=1e-9), images, tmp_path, device="cpu")
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 1


def test_portions_hold_every_image_once():
    batch = MaskedBatch(torch.arange(5)[:, None], torch.zeros(5, 2), torch.zeros(5, 2))
    parts = list(portions(batch, 2))
    assert [len(part.images) for part in parts] == [3, 2]
    assert torch.cat([part.images for part in parts]).flatten().tolist() == list(range(5))
    views = ViewsBatch(torch.zeros(1, 2), torch.zeros(1, 2))
    assert len(list(portions(views, 4))) == 1


def test_portions_add_up_to_the_gradients_of_the_whole(images):
    from MaskWhatMattersLib.pretraining.images import PretrainImages
    from MaskWhatMattersLib.pretraining.methods import make_method

    config = tiny("mae", masking={"ratio": 0.5}, size=[32, 32])
    method = make_method(config)
    batch = PretrainImages(config, images.device_scans()).batch(0)[0]._replace(valid=torch.ones(4, 32, 32).bool())
    gradients = []
    for count in (1, 2):
        method.zero_grad()
        for part in portions(batch, count):
            (method(part).total / count).backward()
        gradients.append(
            torch.cat([weight.grad.flatten() for weight in method.parameters() if weight.grad is not None])
        )
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_the_encoder_with_what_it_needs(method, images, tmp_path):
    config = tiny(method)
    folder = tmp_path / "my run"
    begin_run(folder, config, CASES)
    train(config, images, folder, device="cpu")
    result = export_model(folder, ("A note.",))
    weights, card = read_model(result.path)
    encoder = make_encoder(ENCODER_CONFIG.validate_python(card.config))
    encoder.load_state_dict(weights, strict=True)
    assert (card.architecture, card.name, result.steps, result.notes) == ("encoder", "my-run", 4, ("A note.",))
    assert card.preprocessing["size"] == [32, 32]
    assert result.metrics["loss"] == pytest.approx(card.metrics[0].value, abs=1e-4)
    assert json.dumps(card.preprocessing)


def test_there_is_no_model_before_the_first_checkpoint(tmp_path):
    begin_run(tmp_path, tiny(), CASES)
    with pytest.raises(InputError, match="no checkpoint"):
        export_model(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"broken")
    with pytest.raises(InputError, match="damaged"):
        export_model(tmp_path)


@pytest.mark.parametrize("method", METHODS)
def test_an_estimate_needs_no_image(method):
    found = estimate(tiny(method), "cpu")
    assert found.steps == 4
    assert found.step_s > 0
    assert found.peak_bytes > 0


def test_an_estimate_knows_epochs_and_budget():
    assert estimate(tiny(epochs=10, batch_size=4), "cpu", images=8).steps == 20
    assert estimate(tiny(minutes=1e-9), "cpu").steps == 1
