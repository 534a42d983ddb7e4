"""A pretraining as a job: from folders or the scene, estimated, stopped, resumed, refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.jobs import Event, InlineRunner, Job
from MaskWhatMattersLib.jobs.pretrain_job import (
    PretrainEstimateSpec,
    PretrainExportSpec,
    PretrainSpec,
    pretrain_settings,
)
from MaskWhatMattersLib.jobs.training_run import DiscardSpec
from MaskWhatMattersLib.models import find_model, read_card
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT, read_checkpoint
from MaskWhatMattersLib.training.points import parse_picture, parse_point
from MaskWhatMattersLib.volumes import Volume
from tiny_pretraining import tiny


def write_pictures(folder: Path, count: int = 4) -> Path:
    """images/0.png, ... with a bright square, and labels/0.png, ... that say where it is, but for the last picture."""
    generator = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for place in range(count):
        picture = generator.integers(0, 60, (40, 40), dtype=np.uint8)
        picture[place : place + 16, 8:24] += 150
        label = np.zeros((40, 40), np.uint8)
        label[place : place + 16, 8:24] = 1
        Image.fromarray(picture).save(folder / "images" / f"{place}.png")
        if place < count - 1:
            Image.fromarray(label).save(folder / "labels" / f"{place}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data"))


def spec(data: Path | None, output: Path, **more: Any) -> PretrainSpec:
    config = tiny().model_dump(mode="json") | more.pop("config", {})
    return PretrainSpec(data=data, output=output, device="cpu", config=config, **more)


def run(*job: Any) -> Any:
    return InlineRunner().submit(*job).result()


def stopped_after(job_spec: PretrainSpec, steps: int) -> Job:
    def cancel(job: Job, event: Event) -> None:
        point = parse_point(event.message) if event.kind == "log" else None
        if point is not None and point[0] == steps:
            job.cancel()

    return InlineRunner(cancel).submit(job_spec)


def test_a_folder_of_pictures_becomes_a_model(data: Path, tmp_path: Path) -> None:
    job = InlineRunner().submit(spec(data, tmp_path / "run"))
    result = job.result()
    messages = [event.message for event in job.events() if event.kind == "log"]
    assert result.path == tmp_path / "run" / "model.safetensors"
    assert read_card(result.path).training_data[0].cases == 4
    assert find_model("run", user_folder=tmp_path) == result.path
    assert sum(parse_point(message) is not None for message in messages) == 4
    assert sum(parse_picture(message) is not None for message in messages) == 2
    assert result.files == {}


def test_volumes_of_the_scene_are_learned_from_and_the_model_comes_back(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(1, 4, 40, 40)).astype(np.float32)
    volume = Volume(array, np.diag([1.0, 1.0, 3.0, 1.0]))
    cases = ImageCases((ImageCase("scan", volume, "scan"),))
    result = run(spec(None, tmp_path / "run", send_back=True), cases)
    assert result.steps == 4
    assert set(result.files) == {"model.safetensors", "model.json"}
    assert result.files["model.safetensors"] == result.path.read_bytes()


def test_drawn_regions_guide_the_masks_and_images_without_one_are_counted(data: Path, tmp_path: Path) -> None:
    config = {"region": {"source": "labels"}, "masking": {"kind": "relevance", "inside": 1.0, "outside": 0.0}}
    job = InlineRunner().submit(spec(data, tmp_path / "run", config=config))
    result = job.result()
    assert result.metrics["hidden_inside"] > result.metrics["hidden_outside"]
    assert any("1 of 4 images" in note for note in result.notes)


def test_validation_and_test_images_are_never_learned_from(data: Path, tmp_path: Path) -> None:
    images = [data / "images" / f"{place}.png" for place in range(4)]
    splits = ("train", "val", "test", None)
    cases = ImageCases(
        tuple(ImageCase(path.stem, path, path.stem, split) for path, split in zip(images, splits, strict=True))
    )
    result = run(spec(None, tmp_path / "run"), cases)
    assert read_card(result.path).training_data[0].cases == 2
    assert any("2 images of the splits val and test are left out" in note for note in result.notes)
    with pytest.raises(InputError, match='of the split "train"'):
        run(spec(None, tmp_path / "other"), ImageCases(cases.cases[1:3]))


def test_a_stopped_run_leaves_a_model_and_goes_on(data: Path, tmp_path: Path) -> None:
    job = stopped_after(spec(data, tmp_path / "run"), 2)
    with pytest.raises(JobCancelledError):
        job.result()
    assert any("Stopped after step 2" in event.message for event in job.events())
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert run(spec(data, tmp_path / "run")).steps == 4
    assert (tmp_path / "run" / "log.csv").read_text().count("\n") == 5


def test_a_fresh_run_takes_a_free_name_and_keeps_no_checkpoint(data: Path, tmp_path: Path) -> None:
    run(spec(data, tmp_path / "run"))
    result = run(spec(data, tmp_path / "run", resume=False))
    assert result.path.parent == tmp_path / "run-2"
    assert not (tmp_path / "run-2" / CHECKPOINT).exists()


def test_a_model_can_be_made_of_the_last_checkpoint(data: Path, tmp_path: Path) -> None:
    result = run(spec(data, tmp_path / "run"))
    result.path.unlink()
    assert run(PretrainExportSpec(output=tmp_path / "run")).path.is_file()


def test_other_images_do_not_go_on_with_a_run(data: Path, tmp_path: Path) -> None:
    run(spec(data, tmp_path / "run"))
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(InputError, match="other scans"):
        run(spec(write_pictures(other, 3), tmp_path / "run"))


def test_without_images_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images to learn from"):
        run(spec(None, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_an_estimate_is_a_job_without_images() -> None:
    config = tiny().model_dump(mode="json") | {"epochs": 2}
    found = run(PretrainEstimateSpec(device="cpu", config=config, images=20))
    assert found.steps == 10
    assert "of" in found.words()


def test_settings_stand_above_the_preset_and_fields_of_the_job_above_both(tmp_path: Path) -> None:
    config = {"learning_rate": 0.5, "steps": 7}
    found = pretrain_settings(
        PretrainSpec(output=tmp_path, preset="fast", method="mae", dims=2, steps=9, config=config)
    )
    assert (found.method, found.encoder.spatial_dims, found.learning_rate, found.steps) == ("mae", 2, 0.5, 9)


def test_another_encoder_replaces_that_of_the_preset(tmp_path: Path) -> None:
    config = {"encoder": {"kind": "resnet"}}
    found = pretrain_settings(PretrainSpec(output=tmp_path, preset="fast", method="spark", dims=2, config=config))
    assert found.encoder.kind == "resnet"


def test_prompts_mean_masking_by_relevance(tmp_path: Path) -> None:
    config = {"region": {"prompts": ["left lung"]}}
    found = pretrain_settings(PretrainSpec(output=tmp_path, preset="fast", config=config))
    assert (found.region.source, found.masking.kind) == ("prompts", "relevance")


def test_a_budget_that_hides_nothing_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    masking = {"kind": "relevance", "equal_budget": True, "ratio": 0.01}
    config = tiny().model_dump(mode="json") | {"masking": masking, "region": {"source": "labels"}}
    with pytest.raises(InputError, match="budget cannot be met"):
        pretrain_settings(PretrainSpec(output=tmp_path, config=config))


def test_wrong_settings_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"masking\.ratio.*batch_sise"):
        pretrain_settings(PretrainSpec(output=tmp_path, config={"masking": {"ratio": 3}, "batch_sise": 1}))


def test_a_run_killed_hard_goes_on_with_two_processes(data: Path, tmp_path: Path) -> None:
    output, script = tmp_path / "run", tmp_path / "pretrain.py"
    config = tiny(steps=60, save_every=2, picture_every=0, log_every=50).model_dump(mode="json")
    script.write_text(
        "from pathlib import Path\n"
        "from MaskWhatMattersLib.jobs import InlineRunner\n"
        "from MaskWhatMattersLib.jobs.pretrain_job import PretrainSpec\n"
        f"data, output, config = Path({str(data)!r}), Path({str(output)!r}), {config!r}\n"
        "spec = PretrainSpec(data=data, output=output, device='cpu', config=config)\n"
        "InlineRunner().submit(spec).result()\n"
    )
    alone = subprocess.Popen([sys.executable, script])
    while not (output / CHECKPOINT).is_file():
        assert alone.poll() is None
        time.sleep(0.01)
    alone.send_signal(signal.SIGKILL)
    alone.wait()
    before = read_checkpoint(output)["step"]
    assert before < 60
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    subprocess.run(launcher, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert read_checkpoint(output)["step"] == 60
    assert (output / "model.safetensors").is_file()


def test_going_on_without_a_checkpoint_is_refused_and_begins_nothing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint of the training run on the computer"):
        run(spec(data, tmp_path / "run", must_go_on=True))
    assert not (tmp_path / "run").exists()


def test_folder_of_a_run_is_removed_once_its_model_was_sent_back(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "token" / "run"
    assert set(run(spec(data, output, send_back=True)).files) == {"model.json", "model.safetensors"}
    run(DiscardSpec(output=output))
    assert list(tmp_path.iterdir()) == []


def test_only_the_folder_of_a_run_is_removed(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(InputError, match="Nothing was removed"):
        run(DiscardSpec(output=tmp_path / "own"))
    assert (tmp_path / "own").is_dir()
