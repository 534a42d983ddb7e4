"""How many tokens are hidden."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import MaskingConfig
from MaskWhatMattersLib.masking.counts import hidden_counts, hidden_of, most_visible, overall_count, same_count

hundredths = st.integers(0, 100)
shares = st.integers(1, 99).map(lambda part: part / 100)


@given(tokens=st.integers(0, 5000), part=hundredths)
def test_the_visible_share_is_rounded_exactly(tokens, part):
    visible = floor(tokens * Fraction(100 - part, 100) + Fraction(1, 2))
    assert hidden_of(tokens, part / 100) == tokens - visible


def test_ten_tokens_at_eighty_percent_leave_two():
    assert hidden_of(10, 0.8) == 8  # int(10 * (1 - 0.8)) leaves one


@given(tokens=st.integers(2, 3000), ratio=st.floats(0.0001, 0.9999))
def test_one_token_is_hidden_and_one_is_seen_at_any_ratio(tokens, ratio):
    assert 1 <= overall_count(MaskingConfig(ratio=ratio), tokens) <= tokens - 1


def test_one_token_cannot_be_masked():
    with pytest.raises(InputError, match="at least two tokens"):
        overall_count(MaskingConfig(), 1)


@pytest.mark.parametrize(("ratio", "hides"), [(0.01, "hides 0 of 8"), (0.99, "hides 8 of 8")])
def test_a_budget_that_hides_none_or_all_is_refused(ratio, hides):
    config = MaskingConfig(kind="relevance", equal_budget=True, ratio=ratio)
    with pytest.raises(InputError, match=f"{hides}.*nearer to 0.5"):
        overall_count(config, 8)


def _counts(config: MaskingConfig, tokens: int) -> list[tuple[int, int, int]]:
    """Relevant tokens, hidden ones inside and outside, for every size of a region."""
    relevant = torch.arange(tokens + 1)
    counts = hidden_counts(config, relevant, tokens)
    return list(zip(range(tokens + 1), counts.inside.tolist(), counts.outside.tolist(), strict=True))


@given(tokens=st.integers(2, 60), inside=hundredths, outside=hundredths, ratio=shares)
def test_every_region_hides_its_rounded_shares_as_far_as_one_token_stays_on_each_side(tokens, inside, outside, ratio):
    if inside == outside and inside in (0, 100):
        return
    config = MaskingConfig(kind="relevance", inside=inside / 100, outside=outside / 100, ratio=ratio)
    for relevant, hidden_in, hidden_out in _counts(config, tokens):
        other = tokens - relevant
        assert 0 <= hidden_in <= relevant
        assert 0 <= hidden_out <= other
        assert 1 <= hidden_in + hidden_out <= tokens - 1
        if relevant == 0:
            assert hidden_out == overall_count(config, tokens)
            continue
        if relevant >= 2 and inside > 0:
            assert hidden_in >= 1
        wanted_in, wanted_out = hidden_of(relevant, config.inside), hidden_of(other, config.outside)
        if 0 < wanted_in + wanted_out < tokens and (wanted_in > 0 or relevant < 2 or inside == 0):
            assert (hidden_in, hidden_out) == (wanted_in, wanted_out)


@given(tokens=st.integers(2, 60), inside=hundredths, outside=hundredths, ratio=st.integers(5, 95))
def test_an_equal_budget_hides_the_same_number_of_every_image(tokens, inside, outside, ratio):
    if inside == outside and inside in (0, 100):
        return
    parts = {"inside": inside / 100, "outside": outside / 100, "ratio": ratio / 100}
    config = MaskingConfig(kind="relevance", equal_budget=True, **parts)
    if not 0 < hidden_of(tokens, config.ratio) < tokens:
        return
    for relevant, hidden_in, hidden_out in _counts(config, tokens):
        assert hidden_in + hidden_out == hidden_of(tokens, config.ratio)
        assert 0 <= hidden_in <= relevant
        assert 0 <= hidden_out <= tokens - relevant
        assert hidden_in >= 1 or relevant < 2


@given(relevant=st.integers(1, 999), contrast=st.integers(-90, 90), ratio=st.integers(5, 95))
def test_an_equal_budget_keeps_the_contrast_where_both_ratios_stay_in_bounds(relevant, contrast, ratio):
    inside = 50 + contrast // 2
    config = MaskingConfig(
        kind="relevance", equal_budget=True, ratio=ratio / 100, inside=inside / 100, outside=(inside - contrast) / 100
    )
    _, hidden_in, hidden_out = _counts(config, 1000)[relevant]
    wanted_out = ratio / 100 - relevant / 1000 * contrast / 100
    wanted_in = wanted_out + contrast / 100
    if 0.05 < wanted_in < 0.95 and 0.05 < wanted_out < 0.95:
        assert abs(hidden_in - relevant * wanted_in) <= 1
        assert abs(hidden_out - (1000 - relevant) * wanted_out) <= 1
    else:  # less contrast, but never the other way round
        shares = hidden_in / relevant, hidden_out / (1000 - relevant)
        assert (shares[0] - shares[1]) * contrast >= -abs(contrast) * (1 / relevant + 1 / (1000 - relevant))


@given(tokens=st.integers(2, 60), inside=shares, outside=shares, ratio=shares, equal=st.booleans())
def test_no_image_has_more_visible_tokens_than_announced(tokens, inside, outside, ratio, equal):
    config = MaskingConfig(kind="relevance", inside=inside, outside=outside, ratio=ratio, equal_budget=equal)
    if equal and not 0 < hidden_of(tokens, ratio) < tokens:
        return
    visible = [tokens - hidden_in - hidden_out for _, hidden_in, hidden_out in _counts(config, tokens)]
    assert max(visible) == most_visible(config, tokens)
    assert not same_count(config) or len(set(visible)) == 1


@pytest.mark.parametrize("kind", ["random", "block", "grid"])
def test_without_a_region_every_image_has_the_same_number_of_visible_tokens(kind):
    assert same_count(MaskingConfig(kind=kind))
    assert most_visible(MaskingConfig(kind=kind, ratio=0.75), 216) == 54
