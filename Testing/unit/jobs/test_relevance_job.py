"""Prompts in, relevance maps out, wherever the job runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import sample_localizer
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs import InlineRunner, LocalWorkerRunner, Runner, relevance_job
from MaskWhatMattersLib.jobs.relevance_job import RelevanceSpec
from MaskWhatMattersLib.relevance import registry
from MaskWhatMattersLib.volumes import Volume

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


@pytest.fixture
def volume() -> Volume:
    array = np.zeros((1, 4, 5, 6), dtype=np.int16)
    array[0, 1:3, 1:3, 1:3] = 200
    return Volume(array, AFFINE, name="scan")


@pytest.fixture
def _sample_localizers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three names for the sample localizer, in a process that has made none yet."""
    known = {**registry.available_localizers(), **dict.fromkeys(("one", "two", "three"), sample_localizer.INFO)}
    monkeypatch.setattr(registry, "available_localizers", lambda: known)
    relevance_job._warm.clear()
    yield
    relevance_job._warm.clear()


@pytest.fixture(params=["inline", "worker"])
def runner(request: pytest.FixtureRequest, shared_runner: LocalWorkerRunner) -> Runner:
    return shared_runner if request.param == "worker" else InlineRunner()


def test_the_users_own_region_comes_back_on_the_volumes_grid(runner: Runner, volume: Volume) -> None:
    region = volume.with_array((volume.array > 0).astype(np.uint8))
    spec = RelevanceSpec(prompts=("this one",), localizer="roi")
    (answer,) = runner.submit(spec, volume, region).result(60)
    assert (answer.verdict, answer.prompt) == ("found", "this one")
    np.testing.assert_array_equal(answer.mask().array, region.array)
    np.testing.assert_allclose(answer.volume.affine, AFFINE)


def test_a_region_is_asked_for_when_it_is_missing(runner: Runner, volume: Volume) -> None:
    with pytest.raises(InputError, match="needs a region"):
        runner.submit(RelevanceSpec(prompts=("this one",), localizer="roi"), volume).result(60)


def test_a_localizer_that_does_not_exist_is_named(runner: Runner, volume: Volume) -> None:
    with pytest.raises(InputError, match=r"\"bultin\".*builtin"):
        runner.submit(RelevanceSpec(prompts=("liver",), localizer="bultin"), volume).result(60)


def test_no_prompt_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match="prompts"):
        RelevanceSpec(prompts=())


@pytest.mark.usefixtures("_sample_localizers")
def test_the_second_prompt_does_not_load_again(volume: Volume) -> None:
    runner = InlineRunner()
    first = runner.submit(RelevanceSpec(prompts=("liver",), localizer="one"), volume)
    second = runner.submit(RelevanceSpec(prompts=("spleen", "absent"), localizer="one"), volume)
    assert [answer.verdict for answer in second.result()] == ["found", "absent"]
    assert [event.stage for event in first.events() if event.kind == "stage"] == ["Loading the localizer", "Looking"]
    assert [event.stage for event in second.events() if event.kind == "stage"] == ["Looking"]


@pytest.mark.usefixtures("_sample_localizers")
def test_only_the_two_last_localizers_stay_loaded(volume: Volume) -> None:
    for name in ("one", "two", "one", "three"):
        InlineRunner().submit(RelevanceSpec(prompts=("liver",), localizer=name), volume).result()
    assert [key[0] for key in relevance_job._warm] == ["one", "three"]
