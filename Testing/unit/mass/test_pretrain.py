"""The pretraining loop of MASS: it learns, stops, goes on exactly, and leaves a model."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.mass.episodes import EpisodeDrawer
from MaskWhatMattersLib.mass.in_context_learner import InContextLearner
from MaskWhatMattersLib.mass.model_files import read_mass
from MaskWhatMattersLib.mass.pretrain import portions, pretrain
from MaskWhatMattersLib.mass.pretrain_config import ViewConfig
from MaskWhatMattersLib.mass.trained_model import begin_run, export_model
from MaskWhatMattersLib.networks.mass_network import MassNetwork
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT
from MaskWhatMattersLib.training.points import parse_picture, parse_point
from tiny_mass_pretraining import tiny, tiny_cases, tiny_scans

STILL = ViewConfig(moved=0.0, share=0.0)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return tiny_scans(tmp_path_factory.mktemp("cache"))


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
    return torch.load(folder / CHECKPOINT, weights_only=True)


def test_a_stopped_training_ends_where_an_undisturbed_one_does(scans, tmp_path):
    pretrain(tiny(), scans, tmp_path / "whole", device="cpu")
    with pytest.raises(JobCancelledError):
        pretrain(tiny(), scans, tmp_path / "parts", Listening(stop_at=3), "cpu")
    assert stored(tmp_path / "parts")["step"] == 3
    pretrain(tiny(), scans, tmp_path / "parts", device="cpu")
    whole, parts = stored(tmp_path / "whole"), stored(tmp_path / "parts")
    for part in ("module", "average"):
        assert all(torch.equal(whole[part][name], parts[part][name]) for name in whole[part])
    logs = [(tmp_path / run / "log.csv").read_text().splitlines() for run in ("whole", "parts")]
    assert len(logs[0]) == 5
    assert [line.split(",")[:3] for line in logs[0]] == [line.split(",")[:3] for line in logs[1]]


def test_the_loss_falls(scans, tmp_path):
    heard = Listening()
    easy = {"reference": STILL, "query": STILL, "fewer": 0.0, "absent": 0.0, "whole_field": 1.0, "labels": 1}
    pretrain(tiny(steps=16, picture_every=0, save_every=0, **easy), scans, tmp_path, heard, "cpu")
    points = [point[1] for line in heard.lines if (point := parse_point(line))]
    assert sum(point["loss"] for point in points[-4:]) < 0.8 * sum(point["loss"] for point in points[:4])
    assert all(0 <= point["dice"] <= 1 for point in points)


def test_pictures_come_when_due(scans, tmp_path):
    heard = Listening()
    pretrain(tiny(), scans, tmp_path, heard, "cpu")
    pictures = [picture for line in heard.lines if (picture := parse_picture(line))]
    assert [step for step, _ in pictures] == [2, 4]
    assert all(png.startswith(b"\x89PNG") for _, png in pictures)


def test_other_settings_do_not_resume(scans, tmp_path):
    pretrain(tiny(), scans, tmp_path, device="cpu")
    with pytest.raises(InputError, match="learning_rate"):
        pretrain(tiny(learning_rate=0.02), scans, tmp_path, device="cpu")


def test_a_diverged_training_says_so(scans, tmp_path):
    with pytest.raises(InputError, match="lower learning_rate"):
        pretrain(tiny(learning_rate=1e30, clip=0.0, steps=20, warmup=0.0), scans, tmp_path, device="cpu")


def test_a_budget_shortens_the_training(scans, tmp_path):
    pretrain(tiny(minutes=1e-9, optimizer="lamb"), scans, tmp_path, device="cpu")
    assert stored(tmp_path)["step"] == 1


def test_portions_add_up_to_the_gradients_of_the_whole(scans):
    config = tiny(batch_size=3)
    batch = EpisodeDrawer(config, scans.on("cpu", config)).batch(0)
    batch = batch._replace(counted=torch.ones_like(batch.counted))
    learner = InContextLearner(MassNetwork(config.network))
    gradients = []
    for count in (1, 2):
        learner.zero_grad()
        for part in portions(batch, count):
            (learner(part).total * (len(part.query) / 3)).backward()
        gradients.append([parameter.grad.clone() for parameter in learner.parameters()])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-3, atol=1e-5)


def test_the_model_holds_the_averaged_weights_and_says_what_it_learned_from(scans, tmp_path):
    folder = tmp_path / "my-archive"
    config = tiny()
    begin_run(folder, config, ImageCases(tiny_cases()))
    pretrain(config, scans, folder, device="cpu")
    result = export_model(folder)
    network, preprocessing, card = read_mass(result.path)
    average = stored(folder)["average"]
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, average[name], rtol=1e-2, atol=1e-3)
    assert preprocessing == config.preprocessing
    assert card.name == "my-archive"
    assert card.training_data[0].cases == 2
    assert card.metrics[0].name == "Pretraining Dice"
    assert "4 steps" in card.description
    assert result.steps == 4
