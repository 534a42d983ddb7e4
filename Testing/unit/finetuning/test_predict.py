"""Applying a finetuned segmenter."""

import numpy as np
import pytest
import torch

from finetuning_phantoms import picture_cases, save_finetuned, small_config, square_picture, train_few
from MaskWhatMattersLib.errors import GeometryError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.evaluation.overlap import dice
from MaskWhatMattersLib.finetuning.card_preprocessing import CardPreprocessing
from MaskWhatMattersLib.finetuning.predict import FinetunedSegmenter
from MaskWhatMattersLib.finetuning.segmentation import SegmentationTask
from MaskWhatMattersLib.finetuning.segmentation_network import SegmentationNetworkConfig
from MaskWhatMattersLib.models import Label, ModelCard, read_model, save_model
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume, orient, resample_like, to_ras


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model file for pictures that marks what is bright, trained for a moment."""
    torch.manual_seed(0)
    config = small_config(2)
    task = SegmentationTask(config, picture_cases(), torch.device("cpu"), SilentProgress())
    train_few(task, 15)
    return save_finetuned(task, config, tmp_path_factory.mktemp("model"))


@pytest.fixture(params=[2, 3])
def bright(request):
    """A segmenter of what is brighter than the mean by two standard deviations, for pictures and for volumes."""
    config = small_config(request.param)
    network = (torch.nn.Conv2d if request.param == 2 else torch.nn.Conv3d)(1, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([0.0, 8.0]).reshape(network.weight.shape))
        network.bias.copy_(torch.tensor([0.0, -16.0]))
    image = config.preprocessing.model_copy(update={"longest_side": 64})
    card = ModelCard(name="bright", version="1", architecture="x", licence="x")
    return FinetunedSegmenter(
        network,
        SegmentationNetworkConfig(encoder=config.encoder, values=(0, 7)),
        CardPreprocessing(image=image, size=config.size),
        card,
        torch.device("cpu"),
    )


def patient():
    """A bright box of 8 x 12 x 10 mm on the patient's left, high and in front; axes R, A, S."""
    labels = np.zeros((1, 30, 32, 32), np.uint8)
    array = np.broadcast_to(np.arange(32.0), labels.shape).copy()
    array[0, 17:27, 18:30, 3:11] += 120
    labels[0, 17:27, 18:30, 3:11] = 1
    affine = np.eye(4)
    affine[:3, 3] = (-20, 15, 40)
    return Volume(array.astype(np.float32), affine, name="patient"), Volume(labels, affine)


def oblique_grid():
    """Turned by 20 degrees about S, flipped along two axes, stored S first, 0.8 x 1.5 x 1 mm."""
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.8, 1.5, -1.0])
    affine[:3, 3] = np.array([-4.5, 30.5, 54.5]) - affine[:3, :3] @ ((np.array([46, 24, 34]) - 1) / 2)
    return orient(Volume(np.zeros((1, 34, 24, 46), np.float32), affine), "SPL")


def centre_ras(mask):
    return to_ras(np.argwhere(mask.array[0] > 0.5)[:, ::-1].mean(0), mask.affine)


def in_oblique_grid():
    image, truth = patient()
    grid = oblique_grid()
    return resample_like(image, grid, fill=16), resample_like(truth, grid, "nearest")


def test_a_straight_volume_is_segmented_where_the_box_is(bright):
    image, truth = patient()
    found = bright.segment(image).label_map
    assert found.array.dtype == np.uint8
    assert set(np.unique(found.array)) == {0, 7}
    assert dice(found.array, truth.array) > 0.9


def test_left_stays_left_in_an_oblique_flipped_anisotropic_volume(bright):
    image, truth = in_oblique_grid()
    found = bright.segment(image).label_map
    np.testing.assert_array_equal(found.affine, image.affine)
    assert dice(found.array, truth.array) > 0.85
    np.testing.assert_allclose(centre_ras(found), centre_ras(patient()[1]), atol=0.5)


def test_probabilities_lie_on_the_image_and_sum_to_one(bright):
    image, _ = in_oblique_grid()
    found = bright.segment(image, keep_probabilities=True)
    assert found.probabilities.array.shape == (2, *image.spatial_shape)
    np.testing.assert_allclose(found.probabilities.array.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(7 * found.probabilities.array.argmax(0), found.label_map.array[0])
    assert (found.names, found.model, found.research_only) == ({7: "label 7"}, "bright 1", False)


def test_the_folder_of_a_training_is_as_good_as_its_file(model):
    assert FinetunedSegmenter.load(model.parent, "cpu").card == FinetunedSegmenter.load(model, "cpu").card


def test_the_work_stops_when_it_is_cancelled(model):
    class Cancelled(SilentProgress):
        def step(self, count=1, message=""):
            raise JobCancelledError

    with pytest.raises(JobCancelledError):
        FinetunedSegmenter.load(model, "cpu").segment(patient()[0], progress=Cancelled())


def test_what_was_trained_is_what_is_loaded(model):
    image, truth = square_picture(11)
    assert dice(FinetunedSegmenter.load(model, "cpu").segment(image).label_map.array, truth.array) > 0.7


def test_a_picture_is_for_models_of_pictures(bright):
    image, truth = square_picture(11, side=64)
    if bright.preprocessing.image.spatial_dims == 3:
        with pytest.raises(GeometryError):
            bright.segment(image)
    else:
        assert dice(bright.segment(image).label_map.array, truth.array) > 0.9


def test_a_model_for_something_else_is_refused(model, tmp_path):
    weights, card = read_model(model)
    save_model(weights, card.model_copy(update={"architecture": "other"}), tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match="other"):
        FinetunedSegmenter.load(tmp_path / "other.safetensors", "cpu")


def test_a_card_that_builds_nothing_is_refused_with_what_is_wrong(model, tmp_path):
    weights, card = read_model(model)
    save_model(weights, card.model_copy(update={"preprocessing": {}}), tmp_path / "odd.safetensors")
    with pytest.raises(ModelFileError, match=r"can be built: image: Field required .*; size: Field required"):
        FinetunedSegmenter.load(tmp_path / "odd.safetensors", "cpu")


def test_names_come_from_the_card(model):
    segmenter = FinetunedSegmenter.load(model, "cpu")
    segmenter.card = segmenter.card.model_copy(update={"labels": (Label(value=1, name="tumour"),)})
    assert segmenter.names == {1: "tumour"}
