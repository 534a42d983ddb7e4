"""What learns at which step, and how fast."""

import pytest

from MaskWhatMattersLib.finetuning.schedules import phase_at


def factors(schedule, total=100, warmup=0.1):
    return [phase_at(schedule, step, total=total, warmup=warmup) for step in range(total)]


def test_warmup_rises_linearly_then_falls_along_a_cosine():
    phases = factors("warmup")
    assert {phase.stage for phase in phases} == {"all"}
    assert [phases[step].factor for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert phases[-1].factor == pytest.approx(0.01, abs=1e-3)


def test_the_floor_is_where_a_cosine_ends():
    assert phase_at("warmup", 99, total=100, warmup=0, floor=1 / 3).factor == pytest.approx(1 / 3, abs=1e-3)


def test_frozen_never_lets_the_encoder_learn():
    assert {phase.stage for phase in factors("frozen")} == {"head"}


def test_sawtooth_is_first_the_head_up_and_down_then_everything():
    phases = factors("sawtooth")
    assert [phase.stage for phase in phases] == ["head"] * 10 + ["all"] * 90
    heads, alls = [[p.factor for p in phases if p.stage == stage] for stage in ("head", "all")]
    assert heads.index(max(heads)) in (4, 5)
    assert heads[0] == pytest.approx(0.2)
    assert heads[-1] < 0.4
    assert alls[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert alls[10:] == sorted(alls[10:], reverse=True)


def test_a_sawtooth_without_warmup_has_no_stage_of_the_head():
    assert factors("sawtooth", warmup=0.0)[0] == ("all", 1.0)


@pytest.mark.parametrize("total", [1, 2, 3, 7])
@pytest.mark.parametrize("schedule", ["warmup", "sawtooth", "frozen"])
def test_a_short_training_has_sound_factors(schedule, total):
    assert all(0 <= phase.factor <= 1 for phase in factors(schedule, total=total, warmup=0.5))
