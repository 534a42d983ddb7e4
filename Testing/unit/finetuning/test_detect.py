"""Applying a finetuned detector."""

import numpy as np
import pytest
import torch

from finetuning_phantoms import picture_cases, save_finetuned, small_config, square_picture, train_few
from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.evaluation.overlap import dice
from MaskWhatMattersLib.finetuning.config import HeadConfig
from MaskWhatMattersLib.finetuning.detect import FinetunedDetector
from MaskWhatMattersLib.finetuning.detection import DetectionTask
from MaskWhatMattersLib.finetuning.localizer import FinetunedLocalizer
from MaskWhatMattersLib.finetuning.predict import FinetunedSegmenter
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import orient


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A detector of bright squares, trained for a moment."""
    torch.manual_seed(0)
    encoder = ResidualEncoderConfig(spatial_dims=2, widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1))
    head = HeadConfig(queries=3, query_features=32, decoder_layers=1)
    config = small_config(2, task="detection", encoder=encoder, head=head, batch_size=2)
    task = DetectionTask(config, picture_cases(), torch.device("cpu"), SilentProgress())
    train_few(task, 20)
    return save_finetuned(task, config, tmp_path_factory.mktemp("model"))


def test_the_square_is_found_and_drawn_where_it_is(model):
    image, truth = square_picture(11)
    found = FinetunedDetector.load(model, "cpu").detect(image)
    assert dice(found.label_map.array, truth.array) > 0.7
    assert (found.name, found.model, found.research_only) == ("object", "mine 1", False)
    assert [each.label for each in found.objects] == list(range(1, len(found.objects) + 1))
    assert found.objects[0].score >= found.objects[-1].score >= 0.5


def test_a_flipped_picture_gives_the_same_objects_on_its_own_grid(model):
    image, truth = square_picture(11)
    flipped = orient(image, "RPS")
    found = FinetunedDetector.load(model, "cpu").detect(flipped).label_map
    np.testing.assert_array_equal(found.affine, flipped.affine)
    assert dice(found.array, orient(truth, "RPS").array) > 0.7


def test_a_high_score_leaves_unsure_objects_out(model):
    found = FinetunedDetector.load(model, "cpu").detect(square_picture(11)[0], min_score=1.0)
    assert found.objects == ()
    assert not found.label_map.array.any()


def test_a_score_beyond_reason_is_refused(model):
    with pytest.raises(InputError, match=r"above 0 and at most at 1; found 0"):
        FinetunedDetector.load(model, "cpu").detect(square_picture(11)[0], min_score=0)


def test_a_detector_answers_prompts_with_the_scores_of_its_objects(model):
    image, truth = square_picture(11)
    found = FinetunedLocalizer(model, "cpu").localize(image, ["object"])[0]
    assert found.verdict == "found"
    assert found.score == pytest.approx(FinetunedDetector.load(model, "cpu").detect(image).objects[0].score)
    assert dice(found.mask().array, truth.array) > 0.7


def test_a_detector_is_no_segmenter(model):
    with pytest.raises(ModelFileError, match="finetuned-detection"):
        FinetunedSegmenter.load(model.parent, "cpu")
