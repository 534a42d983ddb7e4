"""Bad input on the command line: a clear message, the right exit code, and the rest goes on."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.volumes import Volume, write_volume
from static_checks import REPOSITORY
from unit.cli.helpers import files_in, read_report, sample_volume
from unit.models import small_models


@pytest.fixture
def refused(whatmatters, scans, output):
    """Run with arguments that must be refused before any work; returns what was said."""

    def run(*arguments: str | Path, inputs: tuple[Path, ...] = (scans,)) -> str:
        typed = (*inputs, *arguments)
        if "--prompt" not in typed:
            typed += ("--prompt", "liver")
        if "--output" not in typed:
            typed += ("--output", output)
        result = whatmatters(*typed)
        assert result.code == 2
        assert not output.exists() or files_in(output) == set()
        return result.err

    return run


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_an_empty_prompt_is_refused(refused, prompt):
    assert "The prompt is empty" in refused("--prompt", prompt)


def test_a_prompt_of_ten_thousand_characters_is_refused(refused):
    assert "10000 characters" in refused("--prompt", "x" * 10_000)


def test_an_unknown_concept_is_refused_with_what_is_near(refused):
    said = refused("--localizer", "builtin", "--prompt", "left lnug", "--prompt", "flux capacitor")
    assert "flux capacitor" in said
    assert "Did you mean" in said


@pytest.mark.parametrize("prompt", ["左肺", "🫁🫁", "лёгкое", "a\u0000b", "‮lung"])
def test_other_scripts_and_emoji_never_crash(whatmatters, scans, output, prompt):
    run = whatmatters(scans / "first.nii.gz", "--prompt", prompt, "--output", output)
    assert run.code == 0, run.err
    assert read_report(output)[0]["prompt"] == prompt.strip()


def test_an_unknown_localizer_is_refused_with_the_nearest(refused):
    assert 'Did you mean "builtin"' in refused("--localizer", "buildin")


def test_the_region_localizer_asks_for_its_region(refused):
    assert "--roi" in refused("--localizer", "roi")


def test_a_model_localizer_asks_for_its_model(refused):
    assert "--model" in refused("--localizer", "transformers")


@pytest.mark.parametrize("threshold", ["0", "1.5", "-1", "nan"])
def test_a_threshold_outside_its_range_is_refused(refused, threshold):
    assert "--threshold" in refused("--threshold", threshold)


def test_an_unknown_modality_is_refused_with_the_known_ones(refused):
    assert "CT, MR, XR" in refused("--modality", "PET")


def test_a_missing_input_is_refused(refused, tmp_path):
    assert "does not exist" in refused(inputs=(tmp_path / "nothing.nii.gz",))


def test_a_folder_without_images_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no image" in refused(inputs=(tmp_path / "empty",))


@pytest.mark.parametrize("inside", ["", "results", "deeper/../results"])
def test_an_output_folder_inside_an_input_folder_is_refused(refused, scans, inside):
    before = files_in(scans)
    assert "lies inside the input folder" in refused("--output", scans / inside)
    assert files_in(scans) == before


def test_an_output_folder_that_reaches_an_input_by_a_link_is_refused(refused, scans, tmp_path):
    (tmp_path / "link").symlink_to(scans)
    assert "lies inside" in refused("--output", tmp_path / "link" / "results")


def test_an_output_that_is_a_file_is_refused(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "cannot be made" in refused("--output", tmp_path / "file")
    assert "cannot be made" in refused("--output", tmp_path / "file" / "deeper")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_may_not_be_written_to_is_refused(refused, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be" in refused("--output", tmp_path / "locked" / "results")


@pytest.mark.parametrize(("missing", "flag"), [("prompts", "--prompt"), ("output", "--output"), ("inputs", "INPUT")])
def test_what_was_forgotten_is_named(missing, flag, scans, output, capsys):
    typed = {"prompts": ["--prompt", "liver"], "output": ["--output", str(output)], "inputs": [str(scans)]}
    del typed[missing]
    assert main(["relevance", *(word for words in typed.values() for word in words)]) == 2
    assert f"{flag} is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("prompt = 3", 'no field "prompt" (did you mean "prompts"?)'),
        ("prompts = [", "is not a TOML file"),
        (None, "cannot be read"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_refused(refused, tmp_path, content, said):
    config = tmp_path / "settings.toml"
    if content is not None:
        config.write_text(content)
    assert said in refused("--config", config)


def test_an_argument_that_does_not_exist_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as end:
        main(["relevance", "--promt", "liver"])
    assert end.value.code == 2


def _truncated(path: Path) -> None:
    write_volume(sample_volume(), path)
    path.write_bytes(path.read_bytes()[:200])


def _four_dimensional(path: Path) -> None:
    frames = [SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.float32)) for _ in range(2)]
    SimpleITK.WriteImage(SimpleITK.JoinSeries(frames), str(path))


def _colour(path: Path) -> None:
    pixels = np.zeros((3, 4, 5, 3), np.uint8)
    pixels[..., 0] = 200
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=True), str(path))


def _not_a_number(path: Path) -> None:
    volume = sample_volume()
    volume.array[0, 0, 0, 0] = np.nan
    write_volume(volume, path)


BROKEN = {
    "truncated": (_truncated, "damaged"),
    "text": (lambda path: path.write_text("no image"), "damaged"),
    "nothing": (lambda path: path.write_bytes(b""), "0 bytes"),
    "frames": (_four_dimensional, "four dimensions"),
    "not_a_number": (_not_a_number, "--replace-nan"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_reported_and_the_rest_goes_on(whatmatters, scans, output, kind):
    make, said = BROKEN[kind]
    make(scans / "broken.nii.gz")
    run = whatmatters(scans, "--prompt", "liver", "--prompt", "spleen", "--output", output)
    assert run.code == 1
    assert said in run.err
    assert run.err.count("broken.nii.gz") >= 1
    assert "Traceback" not in run.err
    failed = [entry for entry in read_report(output) if entry["error"]]
    assert [(entry["prompt"], entry["verdict"]) for entry in failed] == [("liver", None), ("spleen", None)]
    assert len([name for name in files_in(output) if name.endswith("_mask.nii.gz")]) == 4
    assert not [name for name in files_in(output) if "broken" in name]


def test_colour_is_refused_by_the_region_localizer_and_the_rest_goes_on(whatmatters, scans, output, tmp_path):
    _colour(scans / "colour.nrrd")
    region = sample_volume()
    write_volume(region.with_array((region.array > 50).astype(np.uint8)), tmp_path / "region.nii.gz")
    run = whatmatters(
        *(scans, "--localizer", "roi", "--roi", tmp_path / "region.nii.gz", "--prompt", "liver", "--output", output)
    )
    assert run.code == 1
    assert "one value per voxel" in run.err


def test_a_true_colour_picture_is_reported(whatmatters, scans, output):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(scans / "photo.png")
    run = whatmatters(scans, "--prompt", "liver", "--output", output)
    assert run.code == 1
    assert "photo.png" in run.err


def test_nan_can_be_replaced(whatmatters, scans, output):
    _not_a_number(scans / "gap.nii.gz")
    assert whatmatters(scans, "--prompt", "liver", "--output", output, "--replace-nan", "0").code == 0


def test_a_bug_in_a_localizer_is_reported_and_details_come_with_v(whatmatters, scans, output):
    brief = whatmatters(scans, "--prompt", "crash", "--output", output)
    assert brief.code == 1
    assert "Traceback" not in brief.err
    assert "Traceback" in whatmatters(scans, "--prompt", "crash", "--output", output, "-v").err


@pytest.mark.parametrize(
    ("address", "said"),
    [("gpu-server", "no scheme"), ("tcp://0.0.0.0:8786", "not an address"), ("tcp://127.0.0.1:9", "No Dask scheduler")],
)
def test_a_wrong_scheduler_address_is_refused_before_any_image_is_sent(refused, address, said):
    assert said in refused("--scheduler", address)


def test_pixels_leave_this_computer_with_consent_only(refused):
    assert "pixels" in refused("--scheduler", "tcp://192.0.2.1:8786")


def test_tls_files_without_a_scheduler_are_refused(refused, tmp_path):
    assert "--tls-ca without --scheduler" in refused("--tls-ca", tmp_path / "ca.pem")


def test_a_full_disk_is_reported_and_leaves_no_half_written_result(output, tmp_path):
    noise = np.random.default_rng(0).integers(0, 2, (1, 64, 64, 64), dtype=np.uint8)
    write_volume(Volume(noise, np.eye(4)), tmp_path / "scan.nii.gz")
    run = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "MaskWhatMattersLib.cli",
                "relevance",
                tmp_path / "scan.nii.gz",
                "--localizer",
                "roi",
            ),
            *("--roi", tmp_path / "scan.nii.gz", "--prompt", "liver", "--output", output),
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "MaskWhatMatters")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 1, run.stderr
    assert "Free some space" in run.stderr
    assert files_in(output) == {"report.json"}


def _truncated_model(path: Path) -> None:
    small_models.saved(path.parent, path.stem)
    path.write_bytes(path.read_bytes()[:100])


def _model_of_another_architecture(path: Path) -> None:
    small_models.saved(path.parent, path.stem)


def _pickled_model(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": [1.0]}))


MODELS = {
    "truncated": _truncated_model,
    "other architecture": _model_of_another_architecture,
    "pickle": _pickled_model,
    "missing": lambda path: None,
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_file_that_cannot_be_used_ends_the_run_at_once(whatmatters, scans, output, tmp_path, kind):
    model = tmp_path / "model.safetensors"
    MODELS[kind](model)
    run = whatmatters(scans, "--localizer", "builtin", "--model", model, "--prompt", "hippocampus", "--output", output)
    assert run.code == 2
    assert "model" in run.err
    assert run.err.count("\n") == 1, run.err
    assert files_in(output) == set()
