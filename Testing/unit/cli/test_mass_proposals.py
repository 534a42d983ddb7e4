from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet
from MaskWhatMattersLib.volumes import read_volume, write_volume
from unit.cli.helpers import files_in, read_report
from unit.mass.proposals.two_organs import organs, trunk


@pytest.fixture
def propose(capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run `whatmatters mass proposals` at the trunk's own spacing."""

    def run(*arguments: str | Path) -> SimpleNamespace:
        code = main(["mass", "proposals", *map(str, arguments), "--spacing", "4"])
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return run


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scans" / "trunk.nii.gz"
    path.parent.mkdir()
    write_volume(trunk(), path)
    return path


def test_a_scan_gives_proposals_and_a_report_by_size(propose, scan, output):
    assert propose(scan, "--output", output).code == 0
    assert files_in(output) == {"trunk.proposals.npz", "report.json"}
    found = ProposalSet.load(output / "trunk.proposals.npz")
    (entry,) = read_report(output)
    assert entry["proposals"] == len(found) == sum(entry["by_size"].values()) == sum(entry["by_kind"].values())
    assert entry["by_size"]["under 1 mL"] == (found.volume_ml < 1).sum()
    assert entry["seconds"] >= 0


def test_a_preview_is_a_picture_and_a_label_map_on_the_inputs_grid(propose, scan, output):
    assert propose(scan, "--output", output, "--preview").code == 0
    label_map, source = read_volume(output / "trunk_proposals.nii.gz"), read_volume(scan)
    np.testing.assert_allclose(label_map.affine, source.affine, atol=1e-5)
    assert label_map.spatial_shape == source.spatial_shape
    assert label_map.array.max() >= 2
    assert Image.open(output / "trunk_proposals.png").size[0] > 500


def test_a_second_run_replaces_the_first(propose, scan, output):
    propose(scan, "--output", output, "--preview")
    assert propose(scan, "--output", output, "--preview", "--seed", "1").code == 0


@pytest.mark.parametrize("name", ["trunk.proposals.npz", "report.json"])
def test_a_foreign_file_is_not_replaced(name, propose, scan, output):
    output.mkdir()
    (output / name).write_text("mine")
    result = propose(scan, "--output", output)
    assert result.code != 0
    assert (output / name).read_text() == "mine"
    assert "was not written by whatmatters" in result.err + result.out


def test_drawn_segments_are_mixed_in(propose, scan, output, tmp_path):
    large, small = organs()
    write_volume(trunk().with_array((large + 2 * small)[None].astype(np.uint8)), tmp_path / "drawn.nii.gz")
    assert propose(scan, "--segments", tmp_path / "drawn.nii.gz", "--output", output).code == 0
    assert read_report(output)[0]["by_kind"]["user"] == 2


def test_segments_go_with_one_scan_only(propose, scan, output):
    write_volume(trunk(), scan.parent / "second.nii.gz")
    result = propose(scan.parent, "--segments", scan, "--output", output)
    assert result.code == 2
    assert "--segments goes with one input; found 2" in result.err


def test_weights_are_for_sam2(propose, scan, output):
    result = propose(scan, "--weights", "somewhere", "--output", output)
    assert result.code == 2
    assert "--method sam2" in result.err


def test_missing_weights_of_sam2_end_the_run(propose, scan, output, tmp_path):
    result = propose(scan, "--method", "sam2", "--weights", tmp_path / "nowhere", "--output", output)
    assert result.code != 0
    assert "nowhere" in result.err + result.out


def test_a_damaged_scan_does_not_stop_the_others(propose, scan, output):
    (scan.parent / "broken.nii.gz").write_bytes(b"no scan")
    result = propose(scan.parent, "--output", output, "--json")
    assert result.code == 1
    assert {entry["error"] is None for entry in read_report(output)} == {True, False}
    assert '"by_kind"' in result.out


def test_results_do_not_go_into_the_input_folder(propose, scan):
    assert propose(scan.parent, "--output", scan.parent).code == 2
