"""The log of a training, over kills and resumes."""

import os
import struct
import sys

import pytest
import torch

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.training.logs import LOG, RunningMeans, TrainingLog


def lines(folder) -> list[str]:
    return (folder / LOG).read_text().splitlines()


def test_the_log_has_one_header(tmp_path):
    log = TrainingLog(tmp_path)
    for step in (1, 2):
        log.write(step, {"loss": 0.5 * step})
    assert lines(tmp_path) == ["step,loss", "1,0.5", "2,1"]


def test_a_resumed_log_has_no_step_twice_and_none_lost(tmp_path):
    log = TrainingLog(tmp_path)
    for step in (2, 4, 6, 8):
        log.write(step, {"loss": step})
    resumed = TrainingLog(tmp_path, step=5)
    for step in (6, 8, 10):
        resumed.write(step, {"loss": 10 * step})
    assert lines(tmp_path) == ["step,loss", "2,2", "4,4", "6,60", "8,80", "10,100"]


def test_a_half_written_row_is_dropped(tmp_path):
    TrainingLog(tmp_path).write(2, {"loss": 0.25, "dice": 0.5})
    with (tmp_path / LOG).open("a") as torn:
        torn.write("4,0.1")
    TrainingLog(tmp_path, step=4).write(4, {"loss": 0.125, "dice": 0.5})
    assert lines(tmp_path) == ["step,loss,dice", "2,0.25,0.5", "4,0.125,0.5"]


def test_a_new_training_starts_a_new_log(tmp_path):
    TrainingLog(tmp_path).write(2, {"loss": 1})
    TrainingLog(tmp_path, step=0).write(1, {"dice": 0.5})
    assert lines(tmp_path) == ["step,dice", "1,0.5"]


def test_a_log_that_is_gone_begins_at_the_resumed_step(tmp_path):
    TrainingLog(tmp_path, step=4).write(5, {"loss": 1})
    assert lines(tmp_path) == ["step,loss", "5,1"]


def test_a_column_may_appear_later_and_stay_empty_at_times(tmp_path):
    log = TrainingLog(tmp_path)
    log.write(1, {"loss": 1})
    log.write(2, {"loss": 2, "dice": 0.5})
    log.write(3, {"loss": 3})
    assert lines(tmp_path) == ["step,loss,dice", "1,1,", "2,2,0.5", "3,3,"]
    TrainingLog(tmp_path, step=2).write(3, {"loss": 4})
    assert lines(tmp_path) == ["step,loss,dice", "1,1,", "2,2,0.5", "3,4,"]


def test_other_processes_write_nothing(tmp_path):
    TrainingLog(tmp_path, active=False).write(1, {"loss": 1})
    assert not (tmp_path / LOG).exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_full_disk_is_reported(tmp_path):
    log = TrainingLog(tmp_path)
    log.write(1, {"loss": 1})
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"No space left on device\. Free disk space"):
        log.write(2, {"loss": 1})


def scalars(folder) -> list[tuple[int, str, float]]:
    """Steps, tags and values in the event files, read by hand: length, checksum, event, checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for file in sorted((folder / "tensorboard").iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    return found


def test_tensorboard_gets_the_same_numbers(tmp_path):
    pytest.importorskip("tensorboardX")
    log = TrainingLog(tmp_path, tensorboard=True)
    log.write(10, {"loss": 0.5, "dice": 0.25})
    log.close()
    assert scalars(tmp_path) == [(10, "loss", 0.5), (10, "dice", 0.25)]


def test_tensorboard_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install tensorboardX"):
        TrainingLog(tmp_path, tensorboard=True)


def test_running_means_continue_after_a_resume():
    means = RunningMeans()
    means.add({"loss": torch.tensor(1.0), "dice": torch.tensor(0.5)})
    resumed = RunningMeans()
    resumed.load_state_dict(means.state_dict())
    resumed.add({"loss": torch.tensor(2.0, requires_grad=True)})
    assert resumed.take() == {"loss": 1.5, "dice": 0.5}
    assert resumed.take() == {}
