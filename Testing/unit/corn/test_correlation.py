"""Covariances, CORAL distances and what is made of them, against literal versions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from MaskWhatMattersLib.corn.correlation import (
    coral_distance,
    correlation_loss,
    covariance,
    distance_matrix,
    released_correlation_loss,
    shrink,
    symmetric_correlation_loss,
)
from unit.corn import literal_reference as literal


def rows(*shape, seed=0, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_(requires_grad)


def test_covariance_is_the_literal_one():
    np.testing.assert_allclose(covariance(rows(7, 3)), literal.covariance(rows(7, 3)))


def test_rows_that_do_not_count_do_not_change_the_covariance():
    valid = torch.tensor([True, False, True, True, False, True, True])
    np.testing.assert_allclose(covariance(rows(7, 3), valid), literal.covariance(rows(7, 3)[valid]))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_rows_have_no_covariance(count):
    valid = torch.arange(5) < count
    assert covariance(rows(5, 3), valid).abs().max() == 0


def test_covariance_stays_float32_inside_autocast():
    far = 100 + rows(64, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = covariance(far)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, literal.covariance(far), atol=1e-3)


def test_shrunk_covariance_is_the_literal_one():
    matrix = covariance(rows(7, 3))
    np.testing.assert_allclose(shrink(matrix, 0.1), literal.shrunk(matrix.tolist(), 0.1))


def test_distances_of_all_to_all_are_the_literal_ones():
    some, others = covariance(rows(3, 7, 4)), covariance(rows(2, 7, 4, seed=1))
    found = distance_matrix(some, others)
    for m in range(3):
        for p in range(2):
            assert found[m, p].item() == pytest.approx(literal.coral(some[m].tolist(), others[p].tolist()))


def test_released_loss_is_the_literal_one_over_the_entries_that_exist():
    main, auxiliary = rows(2, 2).abs(), rows(2, 2, seed=1).abs()
    valid = torch.tensor([[True, False], [True, True]])
    expected = literal.released_correlation_loss(main[valid].tolist(), auxiliary[valid].tolist())
    assert released_correlation_loss(main, auxiliary, valid).item() == pytest.approx(expected)


def test_released_loss_without_entries_is_zero_and_so_are_its_gradients():
    main, auxiliary = rows(2, 2, requires_grad=True), rows(2, 2, seed=1, requires_grad=True)
    loss = released_correlation_loss(main, auxiliary, torch.zeros(2, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert main.grad.abs().max() == 0
    assert auxiliary.grad.abs().max() == 0


def test_released_loss_makes_the_auxiliary_distances_smaller_where_the_main_ones_are_alike():
    main, auxiliary = torch.full((2, 2), 0.5), torch.ones(2, 2, requires_grad=True)
    released_correlation_loss(main, auxiliary, torch.ones(2, 2, dtype=torch.bool)).backward()
    torch.testing.assert_close(auxiliary.grad, torch.full((2, 2), np.log(4) / 4, dtype=torch.float32))


def test_correlation_losses_are_the_literal_ones():
    main, auxiliary = rows(4, 3).abs(), rows(4, 3, seed=1).abs()
    there = literal.correlation_loss(main, auxiliary, 0.7)
    back = literal.correlation_loss(auxiliary, main, 0.7)
    assert correlation_loss(main, auxiliary, torch.tensor(0.7)).item() == pytest.approx(there, rel=1e-6)
    both = symmetric_correlation_loss(main, auxiliary, torch.tensor(0.7))
    assert both.item() == pytest.approx((there + back) / 2, rel=1e-6)


def test_symmetric_loss_moves_each_branch_as_if_the_other_were_fixed():
    main, auxiliary = rows(4, 3, requires_grad=True), rows(4, 3, seed=1, requires_grad=True)
    symmetric_correlation_loss(main, auxiliary, torch.tensor(0.7)).backward()
    fixed = rows(4, 3, requires_grad=True)
    (0.5 * correlation_loss(fixed, auxiliary.detach(), torch.tensor(0.7))).backward()
    torch.testing.assert_close(main.grad, fixed.grad)


def test_gradients_are_right():
    main, auxiliary = rows(4, 3, requires_grad=True), rows(4, 3, seed=1, requires_grad=True)
    valid = torch.tensor([[True, False, True]] * 4)
    temperature = torch.tensor(0.7, dtype=torch.float64)
    assert gradcheck(lambda x, y: released_correlation_loss(x, y, valid), (main, auxiliary))
    assert gradcheck(lambda x, y: correlation_loss(x, y, temperature), (main, auxiliary))
    few = torch.tensor([True, True, False, True])
    assert gradcheck(lambda x, y: coral_distance(shrink(covariance(x, few), 0.1), covariance(y)), (main, auxiliary))
    assert gradcheck(
        lambda x, y: distance_matrix(covariance(x), covariance(y)), (rows(2, 4, 2, requires_grad=True),) * 2
    )
