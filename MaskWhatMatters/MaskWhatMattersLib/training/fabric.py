"""Where a training runs and with which arithmetic: device, precision, processes, memory layout, compilation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.networks.devices import torch_device

Precision = Literal["auto", "fp32", "bf16"]


def make_fabric(device: str = "auto", precision: Precision = "auto", devices: int = 1, num_nodes: int = 1) -> Fabric:
    """The launched Fabric of a training.

    Under `torchrun`, or `srun` with several tasks, processes are already there: their number is taken from the
    launcher, and `devices` and `num_nodes` are not looked at. Otherwise `devices` above 1 starts the present command
    once more for each further device, so it is for scripts, never for code inside another program.

    Args:
        device: "auto" (the first NVIDIA GPU, else the processor), "cpu", "cuda" or "cuda:1".
        precision: "fp32"; "bf16": fp32 weights, bfloat16 arithmetic; "auto": bf16 on a GPU that has it, fp32 elsewhere.
        devices: Processes on this computer, one per device.
        num_nodes: Computers.

    Raises:
        InputError: No such device, arithmetic or number of devices here.
    """
    chosen = torch_device(device)
    launched = _launched()
    if launched is not None:
        devices, num_nodes = launched
    strategy: DDPStrategy | str = "auto"
    if devices * num_nodes > 1:
        # A method may leave out a branch or a head in some steps (warm-up), which plain DDP answers with an error.
        strategy = DDPStrategy(find_unused_parameters=True, gradient_as_bucket_view=True)
    if chosen.type == "cuda":
        # Patches have one size, so the search for the fastest convolution pays off after one step.
        torch.backends.cudnn.benchmark = True
    try:
        fabric = Fabric(
            accelerator=chosen.type,
            devices=[chosen.index] if chosen.index and devices == 1 else devices,
            num_nodes=num_nodes,
            strategy=strategy,
            precision=_arithmetic(precision, chosen),
        )
        fabric.launch()
    except (MisconfigurationException, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The training cannot run on {devices} x {chosen.type} on {num_nodes} computer(s): {error} Choose fewer "
            "devices, or start one process per device with torchrun or srun."
        ) from error
    return fabric


def _launched() -> tuple[int, int] | None:
    """Processes per computer and computers, where a launcher has started them."""
    if TorchElasticEnvironment.detect():
        per_node = int(os.environ["LOCAL_WORLD_SIZE"])
        return per_node, int(os.environ["WORLD_SIZE"]) // per_node
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if tasks > 1 and "SLURM_PROCID" in os.environ and SLURMEnvironment.detect():
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise InputError(
                f"SLURM started {tasks} tasks without saying how many per computer. Use --ntasks-per-node (one task "
                "per GPU) instead of --ntasks."
            )
        per_node = int(os.environ["SLURM_NTASKS_PER_NODE"])
        return per_node, int(os.environ.get("SLURM_NNODES", tasks // per_node))
    return None


def _arithmetic(precision: Precision, device: torch.device) -> Literal["32-true", "bf16-mixed"]:
    if precision not in get_args(Precision):
        raise InputError(f"No precision is called {precision!r}. Use one of {', '.join(get_args(Precision))}.")
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == "bf16" and not has_bf16:
            raise InputError(
                f"{torch.cuda.get_device_name(device)} does not calculate in bfloat16. Use the precision auto or fp32."
            )
        return "bf16-mixed" if has_bf16 and precision != "fp32" else "32-true"
    return "bf16-mixed" if precision == "bf16" else "32-true"


def prepare_network(network: nn.Module, *, channels_last: bool = True, compile: bool = False) -> nn.Module:
    """Give a network, already on its device, the memory layout and the compiled form that training wants.

    The network is changed in place: names of weights and whatever else refers to it stay as they are.

    Args:
        network: For 2D or 3D; moved to its device, so that the right compiler is looked for.
        channels_last: Store convolution weights with channels last (`channels_last_3d` for volumes); features follow.
            Weights for pictures stay as they are on a processor.
        compile: Compile it for inputs of one size (`torch.compile`); the first step then takes minutes. Whole scans of
            many sizes are for `uncompiled`.

    Raises:
        InputError: Compilation is asked for and there is no working compiler.
    """
    if channels_last:
        for weight in network.parameters():
            # torch 2.13 on a processor writes past the end of its memory in the backward pass of narrow 1x1
            # convolutions with stride 2 and channels last in 2D (4 to 16 channels, 64 x 64 pixels: the process dies).
            # Remove the condition when Testing/unit/training/narrow_pictures.py survives without it.
            if weight.ndim == 5 or (weight.ndim == 4 and weight.device.type != "cpu"):
                layout = torch.channels_last if weight.ndim == 4 else torch.channels_last_3d
                weight.data = weight.data.contiguous(memory_format=layout)
    if compile:
        _check_compiler(next(network.parameters()).device)
        network.compile(dynamic=False)
    return network


@contextmanager
def uncompiled(network: nn.Module) -> Iterator[None]:
    """Run a network as it was written: each new size of input would make a compiled one compile again, for minutes."""
    compiled = network._compiled_call_impl
    network._compiled_call_impl = None
    try:
        yield
    finally:
        network._compiled_call_impl = compiled


def _check_compiler(device: torch.device) -> None:
    """Compile one addition: whether a C++ compiler or Triton is found says little about whether it works.

    Raises:
        InputError: It does not.
    """
    try:
        torch.compile(_one_more)(torch.zeros(2, device=device))
    except Exception as error:
        torch.compiler.reset()
        needed = "Triton" if device.type == "cuda" else "a C++ compiler (g++, clang++ or Visual C++)"
        raise InputError(
            f"The network cannot be compiled on this computer: {str(error).strip().splitlines()[0]}. Install {needed}, "
            "or switch compile off: the training is the same, only slower."
        ) from error


def _one_more(values: torch.Tensor) -> torch.Tensor:
    return values + 1
