"""Transformer blocks with tokens that nobody looks at, and position embeddings for every grid."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.networks.transformer import (
    TransformerBlock,
    TransformerBlocks,
    interpolate_positions,
    sincos_positions,
)


def blocks(**settings: object) -> TransformerBlocks:
    torch.manual_seed(0)
    return TransformerBlocks(**{"depth": 3, "width": 8, "heads": 2, **settings})


def test_the_block_is_the_one_of_torch():
    ours = TransformerBlock(8, 2, 32).eval()
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    names = {
        "self_attn.in_proj_": "qkv.",
        "self_attn.out_proj.": "projection.",
        "linear1.": "mlp.0.",
        "linear2.": "mlp.2.",
    }
    state = theirs.state_dict()
    for old, new in names.items():
        state = {name.replace(old, new): value for name, value in state.items()}
    ours.load_state_dict(state)
    tokens = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(tokens), theirs(tokens))


def test_fillers_change_nothing_wherever_they_stand():
    network, tokens = blocks(), torch.randn(2, 6, 8)
    seen = torch.tensor([[True, False, True, True, False, True], [True] * 4 + [False] * 2])
    alone = network(tokens[0, seen[0]][None])[-1]
    torch.testing.assert_close(network(tokens, seen)[-1][0, seen[0]], alone[0])


def test_an_image_of_fillers_alone_gives_finite_numbers():
    assert blocks()(torch.randn(1, 4, 8), torch.zeros(1, 4, dtype=torch.bool))[-1].isfinite().all()


def test_taps_are_the_tokens_after_so_many_blocks():
    network, tokens = blocks(), torch.randn(1, 4, 8)
    first, second, last = network(tokens, taps=(1, 2))
    assert torch.equal(first, network[0](tokens))
    assert torch.equal(second, network[1](first))
    assert torch.equal(last, network[2](second))


def test_no_blocks_leave_tokens_as_they_are():
    tokens = torch.randn(1, 4, 8)
    assert torch.equal(blocks(depth=0)(tokens)[-1], tokens)


def test_recomputing_features_changes_neither_result_nor_gradients():
    results = []
    for recomputes in (False, True):
        network = blocks(drop_path=0.5).train()
        network.recomputes = recomputes
        torch.manual_seed(1)
        result = network(torch.randn(2, 4, 8), torch.tensor([[True] * 4, [True] * 3 + [False]]))[-1]
        result.square().sum().backward()
        results.append([result, *(weight.grad for weight in network.parameters())])
    for kept, again in zip(*results, strict=True):
        torch.testing.assert_close(kept, again)


def test_stochastic_depth_grows_with_the_block_and_rests_in_evaluation():
    network, tokens = blocks(drop_path=0.6), torch.randn(2, 4, 8)
    assert [block.drop_path for block in network] == pytest.approx([0, 0.3, 0.6])
    assert torch.equal(network.eval()(tokens)[-1], network(tokens)[-1])


def test_stochastic_depth_leaves_whole_images_as_they_are_and_strengthens_the_others():
    block = TransformerBlock(8, 2, 32, drop_path=0.5).train()
    torch.nn.init.zeros_(block.projection.weight), torch.nn.init.zeros_(block.projection.bias)  # the MLP alone
    tokens = torch.randn(64, 4, 8)
    change = block(tokens) - tokens
    whole = block.eval()(tokens) - tokens
    left_out = change.flatten(1).abs().amax(1) < 1e-6
    assert 0 < left_out.sum() < 64
    torch.testing.assert_close(change[~left_out], 2 * whole[~left_out])


@pytest.mark.parametrize("width", [3, 4, 7, 8, 12, 64, 512])
@pytest.mark.parametrize("grid", [(5,), (4, 6), (3, 4, 5)])
def test_positions_of_any_width_tell_all_tokens_apart(grid, width):
    positions = sincos_positions(grid, width)
    assert positions.shape == (torch.Size(grid).numel(), width)
    distances = torch.cdist(positions, positions) + 10 * torch.eye(len(positions))
    assert distances.min() > 1e-3


def test_positions_are_those_of_monai_where_monai_has_them():
    from monai.networks.blocks.pos_embed_utils import build_sincos_position_embedding

    theirs = build_sincos_position_embedding([3, 3, 3], 24, 3)[0]
    ours = sincos_positions((3, 3, 3), 24)
    # The same features in another order: MONAI's first axis is the fastest.
    assert {tuple(row) for row in ours.sort(1).values.mul(1e4).round().long().tolist()} == {
        tuple(row) for row in theirs.sort(1).values.mul(1e4).round().long().tolist()
    }


def test_fewer_features_than_axes_are_refused():
    with pytest.raises(ValueError, match="on 3 axes need at least as many features; found 2"):
        sincos_positions((2, 2, 2), 2)


def test_positions_on_the_same_grid_stay_and_on_another_follow_the_tokens():
    ramp = torch.arange(4.0).repeat_interleave(4)[:, None]  # along the first axis
    torch.testing.assert_close(interpolate_positions(ramp, (4, 4), (4, 4)), ramp)
    halved = interpolate_positions(ramp, (4, 4), (2, 4)).reshape(2, 4)
    torch.testing.assert_close(halved, torch.tensor([[0.5], [2.5]]).expand(2, 4))


@pytest.mark.parametrize(("grid", "wanted"), [((3, 3), (2, 2)), ((2, 2), (2, 2, 2))])
def test_positions_of_another_grid_are_refused(grid, wanted):
    with pytest.raises(ValueError, match="4 positions"):
        interpolate_positions(torch.zeros(4, 8), grid, wanted)
