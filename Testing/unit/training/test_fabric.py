"""Where a training runs: devices, precision, several processes, layout, compilation.

Not tested here, for want of the hardware: CUDA, several computers, and SLURM itself (only what it puts into the
environment).
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.networks.vnet import VNet, VNetConfig
from MaskWhatMattersLib.training import fabric as fabric_module
from MaskWhatMattersLib.training.fabric import make_fabric, prepare_network, uncompiled

SCRIPT = Path(__file__).with_name("gradients_of_two.py")


def test_the_processor_calculates_in_fp32_unless_told_otherwise():
    assert make_fabric("cpu")._precision.precision == "32-true"
    assert make_fabric("cpu", "fp32")._precision.precision == "32-true"
    assert make_fabric("cpu", "bf16")._precision.precision == "bf16-mixed"


def test_auto_takes_a_gpu_only_if_there_is_one():
    assert make_fabric("auto").device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(("device", "precision"), [("gpu9", "auto"), ("cuda:77", "auto"), ("cpu", "fp8")])
def test_what_is_not_there_is_refused_by_name(device, precision):
    with pytest.raises(InputError, match=precision if precision == "fp8" else device):
        make_fabric(device, precision)


def test_no_device_at_all_is_refused():
    with pytest.raises(InputError, match="cannot run on 0 x cpu"):
        make_fabric("cpu", devices=0)


class TestSlurm:
    @pytest.fixture(autouse=True)
    def tasks(self, monkeypatch):
        for name, value in {"NTASKS": "8", "PROCID": "5", "LOCALID": "1", "NNODES": "2", "NODEID": "1"}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
        monkeypatch.setenv("SLURM_JOB_NAME", "train")

    def test_its_tasks_are_counted(self, monkeypatch):
        monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
        assert fabric_module._launched() == (4, 2)

    def test_tasks_that_are_not_per_computer_are_refused(self, monkeypatch):
        monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
        with pytest.raises(InputError, match="--ntasks-per-node"):
            make_fabric("cpu")

    def test_one_task_is_an_ordinary_training(self, monkeypatch):
        monkeypatch.setenv("SLURM_NTASKS", "1")
        assert make_fabric("cpu").world_size == 1


def test_two_processes_have_the_gradients_of_one_with_the_doubled_batch(tmp_path):
    script = runpy.run_path(str(SCRIPT))
    gradients, samples = script["gradients"], script["SAMPLES"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", SCRIPT]
    done = subprocess.run(
        [*command, tmp_path / "gradients.pt"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found, expected = torch.load(tmp_path / "gradients.pt"), gradients(rank=0, share=samples)
    half = gradients(rank=0, share=samples // 2)
    # DDP gives what no process used a gradient of zero or none.
    assert {name for name, value in found.items() if value.any()} <= expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
    assert max(float((half[name] - value).abs().max()) for name, value in expected.items()) > 1e-3


@pytest.mark.parametrize(("dims", "layout"), [(2, torch.contiguous_format), (3, torch.channels_last_3d)])
def test_channels_of_volumes_go_last_without_a_change_of_the_answer(dims, layout):
    network = VNet(VNetConfig(spatial_dims=dims, width=4, depth=2)).eval()
    images = torch.rand(1, 1, *[8] * dims)
    expected = network(images).logits
    assert prepare_network(network) is network
    assert network.encoder[1][0][0].weight.is_contiguous(memory_format=layout)
    torch.testing.assert_close(network(images).logits, expected)


def test_the_layout_can_be_left_alone():
    network = VNet(VNetConfig(width=4, depth=2))
    prepare_network(network, channels_last=False)
    assert network.encoder[1][0][0].weight.is_contiguous()


def test_a_compiled_network_keeps_the_names_of_its_weights_and_runs_other_sizes_as_written(monkeypatch):
    ran = []
    monkeypatch.setattr(fabric_module, "_check_compiler", ran.append)
    network = torch.nn.Linear(2, 1)
    names = list(network.state_dict())
    prepare_network(network, compile=True)
    assert ran == [torch.device("cpu")]
    assert list(network.state_dict()) == names
    compiled = network._compiled_call_impl
    assert compiled is not None
    with uncompiled(network):
        assert network._compiled_call_impl is None
        assert network(torch.ones(3, 2)).shape == (3, 1)
    assert network._compiled_call_impl is compiled


def test_no_compiler_is_said_before_the_training_begins(tmp_path, monkeypatch):
    inductor = pytest.importorskip("torch._inductor.config")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing compiled earlier is at hand
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    with pytest.raises(InputError, match=r"cannot be compiled on this computer.*Install a C\+\+ compiler"):
        prepare_network(torch.nn.Linear(2, 1), compile=True)


def test_narrow_networks_for_pictures_do_not_write_past_their_memory():
    script = Path(__file__).with_name("narrow_pictures.py")
    assert subprocess.run([sys.executable, script], capture_output=True).returncode == 0
