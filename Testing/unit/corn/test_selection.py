"""Choosing voxels by index."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.corn.selection import gather_rows, predict, select_voxels, valid_first
from unit.corn import literal_reference as literal


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scene(sets=1, voxels=200, classes=2):
    found = torch.randint(-1, classes, (sets, voxels), generator=generator())
    return found, torch.rand(sets, voxels, generator=generator(1))


def choose(classes, confidence, rows=20, confident=10, rest="unsure", seed=0, class_count=2):
    return select_voxels(
        classes,
        confidence,
        class_count=class_count,
        rows=rows,
        confident=confident,
        rest=rest,
        generator=generator(seed),
    )


@pytest.mark.parametrize("shape", [(2, 2, 4, 5), (2, 3, 2, 3, 4)])
def test_confidence_is_the_log_odds_of_the_most_probable_class(shape):
    logits = torch.randn(shape, generator=generator(), dtype=torch.float64)
    probability, classes = logits.softmax(1).flatten(2).max(1)
    found = predict(logits)
    assert torch.equal(found.classes, classes)
    torch.testing.assert_close(found.confidence, torch.logit(probability))


def test_most_and_least_confident_voxels_are_the_literal_ones():
    classes, confidence = scene()
    found = choose(classes, confidence, rest="least")
    for index in range(2):
        most, least = literal.most_and_least_confident(classes[0].tolist(), confidence[0].tolist(), index, 10, 10)
        assert set(found.indices[0, index, :10].tolist()) == most
        assert set(found.indices[0, index, 10:].tolist()) == least


@pytest.mark.parametrize("rest", ["least", "unsure", "any"])
def test_no_voxel_is_chosen_twice_and_each_is_of_its_class(rest):
    classes, confidence = scene(sets=3)
    found = choose(classes, confidence, rest=rest)
    for one in range(3):
        for index in range(2):
            chosen = found.indices[one, index]
            assert len(set(chosen.tolist())) == 20
            assert (classes[one, chosen] == index).all()
            assert found.available[one, index] == (classes[one] == index).sum()


def test_too_few_voxels_are_repeated_and_marked():
    classes = torch.full((1, 50), -1)
    classes[0, [3, 30, 40]] = 1
    found = choose(classes, torch.rand(1, 50, generator=generator()))
    assert found.valid.sum(-1).tolist() == [[0, 3]]
    assert found.valid[0, 1, :3].all()
    assert set(found.indices[0, 1].tolist()) == {3, 30, 40}


def test_a_small_patch_gives_what_it_has():
    classes, confidence = scene(voxels=12)
    assert choose(classes, confidence, rows=20).indices.shape == (1, 2, 12)


def test_random_voxels_come_from_the_given_generator():
    classes, confidence = scene()
    one, same, other = (choose(classes, confidence, seed=seed).indices for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_unsure_voxels_are_likelier_than_sure_ones():
    confidence = torch.cat([torch.zeros(100), torch.full((100,), 6.0)])[None]
    found = choose(torch.zeros(1, 200, dtype=torch.long), confidence, rows=40, confident=0, class_count=1)
    assert (found.indices < 100).float().mean() > 0.9


@pytest.mark.parametrize("sides", [(4, 5), (3, 4, 5)])
def test_gathered_rows_and_their_gradients_do_not_depend_on_the_memory_layout(sides):
    features = torch.randn(2, 3, *sides, generator=generator())
    last = features.to(memory_format=torch.channels_last if len(sides) == 2 else torch.channels_last_3d)
    patches, voxels = torch.tensor([0, 1, 1]), torch.tensor([0, 7, 19])
    expected = torch.stack([features[p].flatten(1)[:, v] for p, v in zip(patches, voxels, strict=True)])
    for given in (features.clone().requires_grad_(), last.clone().requires_grad_()):
        found = gather_rows(given, patches, voxels)
        found.sum().backward()
        torch.testing.assert_close(found, expected)
        assert given.grad.sum() == 9
        assert given.grad[1].flatten(1)[:, 7].tolist() == [1, 1, 1]


def test_valid_entries_come_first_and_fill_the_rest():
    indices, valid = valid_first(torch.tensor([[5, 6, 7, 8]]), torch.tensor([[False, True, False, True]]))
    assert indices.tolist() == [[6, 8, 6, 8]]
    assert valid.tolist() == [[True, True, False, False]]
