"""What a launcher of several processes (torchrun, srun) tells each of them; needs no package."""

from __future__ import annotations

import os


def process_count() -> int:
    """Processes of this training; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1")))


def is_first_process() -> bool:
    """Whether this process writes files and talks."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0
