"""Checkpoints: everything comes back, and no kill or full disk costs more than the steps since the last one."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT, load_checkpoint, save_checkpoint

PART = f"{CHECKPOINT}.part"


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def state(value: float, size: int = 2) -> dict:
    layer = torch.nn.Linear(size, size)
    torch.nn.init.constant_(layer.weight, value)
    return {"model": layer, "step": int(value), "config": {"steps": 10, "losses": {"tau": 0.5, "sizes": (1, 2)}}}


def test_a_checkpoint_brings_everything_back(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    fresh = state(0.0)
    assert load_checkpoint(fabric, fresh, tmp_path)
    assert fresh["step"] == 3
    assert (fresh["model"].weight == 3).all()


def test_without_a_checkpoint_nothing_is_loaded(fabric, tmp_path):
    assert not load_checkpoint(fabric, state(0.0), tmp_path)


def test_a_half_written_checkpoint_does_not_hide_the_previous_one(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    (tmp_path / PART).write_bytes(b"half")
    fresh = state(0.0)
    assert load_checkpoint(fabric, fresh, tmp_path)
    assert fresh["step"] == 3


def test_other_settings_are_refused_by_their_dotted_name(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    other = state(0.0) | {"config": {"steps": 10, "losses": {"tau": 0.7, "sizes": [1, 2]}}}
    with pytest.raises(InputError, match=r"other settings \(losses\.tau\)"):
        load_checkpoint(fabric, other, tmp_path)


def test_a_new_setting_is_another_setting(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    other = state(0.0)
    other["config"]["clip"] = None
    with pytest.raises(InputError, match=r"other settings \(clip\)"):
        load_checkpoint(fabric, other, tmp_path)


def test_a_damaged_checkpoint_says_what_to_do(fabric, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(fabric, state(0.0), tmp_path)


def test_a_truncated_checkpoint_says_what_to_do(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    os.truncate(tmp_path / CHECKPOINT, (tmp_path / CHECKPOINT).stat().st_size // 2)
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(fabric, state(0.0), tmp_path)


def test_a_part_of_another_shape_is_named(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    with pytest.raises(InputError, match=r"part 'model' cannot be loaded"):
        load_checkpoint(fabric, state(0.0, size=3), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(fabric, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        save_checkpoint(fabric, state(1.0), tmp_path / "file" / "run")


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_reported_and_costs_nothing_else(fabric, full_disk):
    save_checkpoint(fabric, state(1.0, size=16), full_disk)
    with pytest.raises(InputError, match=r"No space left on device.*previous one is untouched.*free disk space"):
        save_checkpoint(fabric, state(2.0, size=1000), full_disk)
    fresh = state(0.0, size=16)
    assert load_checkpoint(fabric, fresh, full_disk)
    assert fresh["step"] == 1
    assert not (full_disk / PART).exists()


def test_a_file_size_limit_is_reported_and_costs_nothing_else(fabric, tmp_path):
    resource = pytest.importorskip("resource")
    save_checkpoint(fabric, state(1.0), tmp_path)
    ignored, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"File too large"):
            save_checkpoint(fabric, state(2.0, size=1000), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT]


def save_forever(fabric: Fabric, folder: Path) -> None:
    for step in itertools.count(1):
        # Made by NumPy: a forked process must not enter torch's thread pool.
        weights = [torch.from_numpy(np.full(2_000_000, step, np.float32)) for _ in range(6)]
        save_checkpoint(fabric, {"weights": weights, "step": step, "config": {}}, folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that starts at once, to be killed in time")
def test_a_kill_while_writing_leaves_the_previous_checkpoint_whole(fabric, tmp_path):
    for _ in range(5):
        process = multiprocessing.get_context("fork").Process(target=save_forever, args=(fabric, tmp_path))
        process.start()
        while not ((tmp_path / CHECKPOINT).is_file() and (tmp_path / PART).is_file()):
            assert process.is_alive()
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if (tmp_path / PART).is_file():  # else the rename was quicker than the kill
            break
    assert (tmp_path / PART).is_file()
    kept = {"weights": None, "step": 0, "config": {}}
    assert load_checkpoint(fabric, kept, tmp_path)
    assert all((weights == kept["step"]).all() for weights in kept["weights"])
    save_checkpoint(fabric, {"step": kept["step"] + 1, "config": {}}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT]
