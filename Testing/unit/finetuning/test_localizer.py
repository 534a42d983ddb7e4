"""A finetuned segmentation model that answers prompts."""

import numpy as np
import pytest
import torch

from finetuning_phantoms import picture_cases, save_finetuned, small_config, square_picture, train_few
from MaskWhatMattersLib.errors import InputError, ModelFileError, UnknownConceptError
from MaskWhatMattersLib.evaluation.overlap import dice
from MaskWhatMattersLib.finetuning.localizer import FinetunedLocalizer, labels_named
from MaskWhatMattersLib.finetuning.segmentation import SegmentationTask
from MaskWhatMattersLib.jobs.relevance_job import RelevanceSpec, run
from MaskWhatMattersLib.models import Label, read_model, save_model
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance import create_localizer

HALVES = {1: "Right_Lung", 2: "left lung", 3: "my own thing"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that marks a bright square, which it calls a tumour."""
    torch.manual_seed(0)
    config = small_config(2)
    task = SegmentationTask(config, picture_cases(), torch.device("cpu"), SilentProgress())
    train_few(task, 15)
    file = save_finetuned(task, config, tmp_path_factory.mktemp("model"))
    weights, card = read_model(file)
    save_model(weights, card.model_copy(update={"labels": (Label(value=1, name="Bright_square"),)}), file)
    return file


def test_a_prompt_that_names_a_label_gets_its_probability(model):
    image, truth = square_picture(11)
    (found,) = create_localizer("finetuned", model=str(model), device="cpu").localize(
        image, ["bright square"], context=SilentProgress()
    )
    assert (found.verdict, found.localizer, found.model_version) == ("found", "finetuned", "mine 1")
    assert found.score > 0.5
    assert dice(found.mask().array, truth.array) > 0.7


def test_the_relevance_job_takes_it_like_any_localizer(model):
    spec = RelevanceSpec(prompts=("Bright square",), localizer="finetuned", model=str(model), allow_download=True)
    assert run(spec, SilentProgress(), square_picture(11)[0])[0].verdict == "found"


def test_what_is_not_there_is_absent_with_no_relevance(model):
    localizer = FinetunedLocalizer(model, "cpu")
    with torch.no_grad():
        localizer._model.network.head.conv.conv.bias.copy_(torch.tensor([50.0, -50.0]))
    (found,) = localizer.localize(square_picture(11)[0], ["bright square"])
    assert found.verdict == "absent"
    assert not found.volume.array.any()
    assert "highest probability" in found.message


def test_unknown_prompts_are_refused_together_with_what_there_is(model):
    with pytest.raises(
        UnknownConceptError, match=r'no label "brigt squar", "spleen".*It knows "Bright_square"'
    ) as told:
        FinetunedLocalizer(model, "cpu").localize(square_picture(1)[0], ["brigt squar", "spleen", "bright square"])
    assert told.value.suggestions == ("Bright_square",)


@pytest.mark.parametrize(
    ("prompt", "labels"),
    [
        ("left lung", [2]),
        ("Right lung", [1]),
        ("lung on the left side", [2]),
        ("lungs", [1, 2]),
        ("MY OWN-THING", [3]),
        ("thing", []),
        ("liver", []),
        ("upper right lung", []),
    ],
)
def test_a_prompt_names_labels_by_words_or_by_the_same_concept(prompt, labels):
    assert labels_named(prompt, HALVES) == labels


def test_half_of_a_pair_is_not_the_pair():
    assert labels_named("lungs", {1: "left lung"}) == []


def test_it_needs_a_model():
    with pytest.raises(InputError, match="needs a model"):
        create_localizer("finetuned")


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelFileError):
        FinetunedLocalizer(tmp_path / "none.safetensors", "cpu")


def test_labels_of_one_name_are_one_thing(model):
    localizer = FinetunedLocalizer(model, "cpu")
    localizer._model.card = localizer._model.card.model_copy(update={"labels": ()})
    assert localizer.prompts == ("label 1",)
    np.testing.assert_array_equal(labels_named("a", {1: "a", 2: "b", 3: "a"}), [1, 3])
