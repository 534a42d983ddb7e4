"""The batch on a real Dask scheduler in processes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from MaskWhatMattersLib.volumes import read_volume, write_volume
from unit.cli.helpers import files_in, sample_volume


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a scheduler with one worker process."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_a_folder_is_processed_on_a_scheduler_with_the_same_results(whatmatters, scans, output, tmp_path, scheduler):
    region = sample_volume()
    write_volume(region.with_array((region.array > 50).astype(np.uint8)), tmp_path / "region.nii.gz")
    for number in range(6):
        write_volume(sample_volume(), scans / f"more{number}.nii.gz")
    (scans / "broken.nii.gz").write_bytes(b"broken")
    asked = (scans, "--localizer", "roi", "--roi", tmp_path / "region.nii.gz", "--prompt", "liver")
    remote = whatmatters(*asked, "--output", output, "--scheduler", scheduler, "-v")
    here = whatmatters(*asked, "--output", tmp_path / "here")
    assert remote.code == here.code == 1
    assert files_in(output) == files_in(tmp_path / "here")
    assert "Placing your region" in remote.out
    for name in files_in(output):
        if name.endswith("_mask.nii.gz"):
            np.testing.assert_array_equal(read_volume(output / name).array, read_volume(tmp_path / "here" / name).array)
