"""NT-Xent against its formula, against MONAI, and with several processes."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.losses import ContrastiveLoss

from host_waits import HostWaits
from MaskWhatMattersLib.pretraining.contrastive import nt_xent
from unit.pretraining import views_of_two
from unit.pretraining.views_of_two import views


def test_it_is_the_formula_of_the_paper():
    first, second = views()
    rows = [row / row.norm() for row in torch.cat([first, second]).detach()]
    pairs = len(first)

    def of_pair(i: int, j: int) -> float:
        similarities = [math.exp(float(rows[i] @ row) / 0.2) for row in rows]
        return -math.log(similarities[j] / (sum(similarities) - similarities[i]))

    expected = sum(of_pair(k, k + pairs) + of_pair(k + pairs, k) for k in range(pairs)) / (2 * pairs)
    assert nt_xent(first, second, 0.2).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_it_agrees_with_monai(temperature):
    first, second = views()
    expected = ContrastiveLoss(temperature)(first, second)
    torch.testing.assert_close(nt_xent(first, second, temperature), expected)


def test_equal_views_are_better_than_others():
    first, second = views()
    assert nt_xent(first, first, 0.1) < nt_xent(first, second, 0.1)


def test_low_temperatures_and_bfloat16_leave_numbers():
    first, second = views()
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(first, second, 0.005)
    loss.backward()
    torch.testing.assert_close(loss, nt_xent(first, second, 0.005))
    assert first.grad.isfinite().all()


def test_it_never_waits_for_the_device():
    with HostWaits() as waits:
        nt_xent(*views(), 0.1).backward()
    assert waits.found == []


def test_images_are_compared_with_those_of_all_processes(tmp_path):
    script = Path(views_of_two.__file__)
    running = [subprocess.Popen([sys.executable, script, str(rank), tmp_path]) for rank in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    first, second = views()
    loss = nt_xent(first, second, 0.1)
    loss.backward()
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    torch.testing.assert_close((found[0]["loss"] + found[1]["loss"]) / 2, loss.detach())
    # Processes exchange the mean of their gradients, so each one's own must be twice what is wanted.
    torch.testing.assert_close(torch.cat([each["gradient"] for each in found]) / 2, first.grad)
