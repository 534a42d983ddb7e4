"""LAMB against its algorithm written out."""

from __future__ import annotations

import torch
from torch import nn

from MaskWhatMattersLib.training.lamb import Lamb


def test_two_steps_are_those_of_the_published_algorithm() -> None:
    weight = nn.Parameter(torch.tensor([[3.0, -4.0], [1.0, 2.0]]))
    optimizer = Lamb([weight], lr=0.1, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.04)
    expected, mean, square = weight.detach().clone(), torch.zeros(2, 2), torch.zeros(2, 2)
    for step, gradient in enumerate((torch.tensor([[1.0, 2.0], [-1.0, 0.5]]), torch.ones(2, 2)), start=1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.95 * square + 0.05 * gradient**2
        adam = (mean / (1 - 0.9**step)) / ((square / (1 - 0.95**step)).sqrt() + 1e-6)
        update = adam + 0.04 * expected
        expected = expected - 0.1 * expected.norm() / update.norm() * update
        weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), expected)


def test_what_does_not_decay_takes_a_plain_adam_step() -> None:
    ours, theirs = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    pairs = [(ours, Lamb([ours], lr=0.1, eps=1e-8)), (theirs, torch.optim.Adam([theirs], lr=0.1, eps=1e-8))]
    for parameter, optimizer in pairs:
        for _ in range(3):
            parameter.grad = torch.tensor([1.0, -2.0, 0.5])
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_zero_weights_still_move() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    Lamb([weight], lr=0.1, weight_decay=0.1).step()
    assert (weight < 0).all()


def test_a_closure_gives_the_loss() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = Lamb([weight], lr=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return float(loss.detach())

    assert optimizer.step(closure) == 4
    assert optimizer.step(closure) < 4  # type: ignore[operator]


def test_its_state_resumes() -> None:
    def run(split: bool) -> torch.Tensor:
        weight = nn.Parameter(torch.ones(2, 2))
        optimizer = Lamb([weight], lr=0.1, weight_decay=0.1)
        for step in range(4):
            if split and step == 2:
                state = optimizer.state_dict()
                optimizer = Lamb([weight], lr=0.1, weight_decay=0.1)
                optimizer.load_state_dict(state)
            weight.grad = torch.full((2, 2), float(step + 1))
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(split=True), run(split=False))
