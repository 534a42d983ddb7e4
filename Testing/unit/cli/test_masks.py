"""`whatmatters masks` from its arguments to its files and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.jobs import mask_preview_image, relevance_job
from unit.cli.helpers import files_in, read_report


@pytest.fixture
def pictures(tmp_path):
    """pictures/first.png and pictures/deeper/second.jpg, dark with a bright square of 16 of 64 pixels."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    for name, shade in (("first.png", 200), ("deeper/second.jpg", 190)):
        array = np.zeros((64, 64), np.uint8)
        array[16:32, 16:32] = shade
        Image.fromarray(array).save(folder / name)
    return folder


@pytest.fixture
def masks(whatmatters, tmp_path, capsys):
    """Run `whatmatters masks` as in a new process, with the sample localizer and a cache of its own."""

    def run(*arguments):
        relevance_job._warm.clear()
        mask_preview_image._warm.clear()
        typed = [
            "masks",
            *map(str, arguments),
            "--cache",
            str(tmp_path / "cache"),
            "--output",
            str(tmp_path / "results"),
        ]
        if "--prompt" in typed and "--localizer" not in typed:
            typed += ["--localizer", "sample"]
        code = main(typed)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


SMALL = ("--prompt", "bright", "--patch-size", "56")


def test_every_image_gets_a_picture_and_a_line_of_the_report(masks, pictures, output):
    code, out, _ = masks(pictures, *SMALL, "--inside", 1, "--outside", 0.2)
    assert code == 0
    assert files_in(output) == {"first_masked.png", "deeper/second_masked.png", "report.json"}
    first = next(entry for entry in read_report(output) if entry["input"].endswith("first.png"))
    expected = {"verdict": "found", "tokens": 16, "relevant_tokens": 1, "inside": 1.0, "outside": 0.2, "error": None}
    assert expected.items() <= first.items()
    assert first["ratio"] == pytest.approx(4 / 16)
    with Image.open(output / first["picture"]) as picture:
        assert picture.width > 2 * picture.height
    assert "first.png: 25% of 16 tokens are hidden: 100% of 1 relevant ones" in out


def test_a_second_run_says_that_relevance_was_kept(masks, pictures, output):
    _, first, _ = masks(pictures, *SMALL)
    assert " s)" in first
    assert "cached" not in first
    _, second, _ = masks(pictures, *SMALL, "--inside", "0.9")
    assert second.count("(cached)") == 2
    assert "2 done, 2 of them cached." in second
    assert [entry["cached"] for entry in read_report(output)] == [True, True]


def test_an_equal_budget_hides_the_same_share_of_every_image(masks, pictures, output):
    masks(pictures, "--prompt", "bright", "--equal-budget", "--ratio", 0.5)
    assert {entry["ratio"] for entry in read_report(output)} == {0.5}


def test_json_prints_the_report_alone(masks, pictures, output):
    _, out, err = masks(pictures, *SMALL, "--json")
    assert json.loads(out) == read_report(output)
    assert "first.png" in err


def test_images_without_the_region_are_counted(masks, pictures, output):
    code, out, _ = masks(pictures, "--prompt", "absent")
    assert code == 0
    assert "2 without a region" in out
    assert {entry["verdict"] for entry in read_report(output)} == {"absent"}


def test_random_masks_need_no_prompt(masks, pictures, output):
    assert masks(pictures, "--masking", "block", "--ratio", 0.5)[0] == 0
    assert {entry["ratio"] for entry in read_report(output)} == {0.5}


def test_volumes_are_masked_in_three_dimensions_unless_told_otherwise(masks, scans, output):
    masks(scans / "first.nii.gz", "--prompt", "bright", "--patch-size", "2,4,4")
    assert read_report(output)[0]["tokens"] > 9
    masks(scans / "first.nii.gz", "--prompt", "bright", "--dims", 2, "--patch-size", "112")
    assert read_report(output)[0]["tokens"] <= 4


def test_a_crop_holds_its_own_tokens(masks, pictures, output):
    masks(pictures, "--prompt", "bright", "--size", 112, "--patch-size", "28,56")
    assert [entry["tokens"] for entry in read_report(output)] == [8, 8]


def test_pictures_and_volumes_can_be_mixed(masks, pictures, scans, output):
    assert masks(pictures, scans, "--prompt", "bright", "--patch-size", 4)[0] == 0
    assert len(read_report(output)) == 4


def test_settings_of_a_pretraining_count_below_what_is_typed(masks, pictures, tmp_path, output):
    config = tmp_path / "mwm.toml"
    config.write_text(
        'method = "spark"\n[masking]\nkind = "relevance"\ninside = 1.0\noutside = 0.5\nrule = "nearest"\n'
        '[region]\nsource = "prompts"\nprompts = ["bright"]\nlocalizer = "sample"\n'
        "[preprocessing]\nspatial_dims = 2\nlongest_side = 128\n"
    )
    masks(pictures, "--config", config, "--outside", 0.0, "--patch-size", 32)
    assert [(entry["tokens"], entry["inside"], entry["outside"]) for entry in read_report(output)] == [(16, 1, 0)] * 2


def test_an_image_that_cannot_be_read_stops_no_other(masks, pictures, output):
    (pictures / "broken.png").write_bytes(b"broken")
    code, out, err = masks(pictures, *SMALL)
    assert code == 1
    assert "broken.png" in err
    assert "2 done, 1 failed" in out
    broken = next(entry for entry in read_report(output) if entry["error"])
    assert broken["input"].endswith("broken.png")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ((), "no prompt was given"),
        (("--prompt", "bright", "--inside", "1.2"), "inside"),
        (("--prompt", "bright", "--inside", "0", "--outside", "0"), "nothing would be hidden"),
        (("--prompt", "bright", "--patch-size", "4,4,4"), "2 numbers"),
        (("--prompt", "bright", "--localizer", "roi"), "one image"),
        (("--prompt", "bright", "--localizer", "sampel"), "sample"),
        (("--prompt", "gallbladr stones", "--localizer", "builtin"), "gallbladr"),
    ],
)
def test_what_cannot_work_is_refused_before_any_image_is_read(masks, pictures, output, typed, message):
    code, _, err = masks(pictures, *typed)
    assert code == 2
    assert message in err
    assert not output.exists()


def test_a_budget_that_cannot_be_met_names_ratio_and_tokens(masks, pictures):
    code, _, err = masks(pictures, *SMALL, "--equal-budget", "--ratio", 0.01)
    assert code == 1
    assert "hides 0 of 16 tokens" in err


def test_a_file_of_somebody_else_is_never_replaced(masks, pictures, output):
    output.mkdir()
    (output / "report.json").write_text("mine")
    code, _, err = masks(pictures, *SMALL)
    assert code == 2
    assert "was not written by whatmatters" in err


def test_help_loads_neither_torch_nor_settings():
    script = (
        "import sys, contextlib\nfrom MaskWhatMattersLib.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['masks', '--help'])\n"
        "assert not {'torch', 'pydantic', 'monai'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=False).returncode == 0
