"""The builtin localizer: first with tiny random weights, then with the weights that ship."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from MaskWhatMattersLib import localize, read_volume
from MaskWhatMattersLib.errors import InputError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.models import BUNDLED_FOLDER, ModelCard, save_model
from MaskWhatMattersLib.networks.concept_unet import ConceptUNet, ConceptUNetConfig
from MaskWhatMattersLib.relevance.builtin.localizer import BuiltinCard, BuiltinLocalizer, clean, score_of
from MaskWhatMattersLib.relevance.builtin.sources import CONCEPTS
from MaskWhatMattersLib.volumes import Volume, orient
from phantoms import disc_volume, head_ct


def write_model(path: Path, *, presence: float = 5.0, architecture: str = "ConceptUNet") -> str:
    """A tiny network with random weights that sees everything everywhere, or nothing when presence is negative."""
    config = ConceptUNetConfig(widths=(8, 8), pixel_features=4, concepts=CONCEPTS)
    torch.manual_seed(0)
    network = ConceptUNet(config)
    torch.nn.init.zeros_(network.presence_head.weight)
    torch.nn.init.constant_(network.presence_head.bias, presence)
    torch.nn.init.zeros_(network.concept_bias)
    settings = BuiltinCard(trained={"liver": ("MR",), "left kidney": ("MR",), "right kidney": ("MR",)})
    card = ModelCard(
        name="tiny",
        version="1",
        architecture=architecture,
        config=config.model_dump(mode="json"),
        preprocessing=settings.model_dump(mode="json"),
        licence="Apache-2.0",
    )
    save_model(network.state_dict(), card, path)
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def test_a_found_concept_has_relevance_on_the_volumes_own_grid(model):
    volume, _ = disc_volume(0)
    result = localize(volume, "liver", model=model, device="cpu")[0]
    assert result.verdict == "found"
    assert result.volume.array.shape == volume.array.shape
    assert result.volume.array.dtype == np.float32
    assert np.array_equal(result.volume.affine, volume.affine)
    assert 0 <= result.volume.array.min() <= result.volume.array.max() <= 1


@pytest.mark.parametrize("orientation", ["RAS", "SAL", "PIR"])
def test_relevance_follows_the_patient_not_the_storage_order(model, orientation):
    volume, _ = disc_volume(0)
    straight = localize(volume, "liver", model=model, device="cpu")[0].volume
    turned = localize(orient(volume, orientation), "liver", model=model, device="cpu")[0].volume
    np.testing.assert_allclose(orient(turned, "LPS").array, orient(straight, "LPS").array, atol=1e-5)


def test_several_prompts_equal_one_by_one(model):
    volume, _ = disc_volume(0)
    together = localize(volume, ["liver", "kidneys"], model=model, device="cpu")
    for result, prompt in zip(together, ["liver", "kidneys"], strict=True):
        alone = localize(volume, prompt, model=model, device="cpu")[0]
        np.testing.assert_allclose(result.volume.array, alone.volume.array, atol=1e-6)


def test_a_union_is_the_larger_of_its_halves(model):
    volume, _ = disc_volume(0)
    both, left, right = localize(volume, ["kidneys", "left kidney", "right kidney"], model=model, device="cpu")
    assert np.array_equal(both.volume.array, np.maximum(left.volume.array, right.volume.array))


def test_what_is_not_there_is_absent_with_an_empty_map(tmp_path):
    blind = write_model(tmp_path / "blind.safetensors", presence=-5.0)
    result = localize(disc_volume(0)[0], "liver", model=blind, device="cpu")[0]
    assert result.verdict == "absent"
    assert result.score < 0.1
    assert not result.volume.array.any()
    assert "not in this image" in result.message


@pytest.mark.parametrize(("prompt", "modality"), [("spleen", "MR"), ("liver", "CT"), ("left hippocampus", "MR")])
def test_outside_of_its_training_it_never_makes_a_mask(model, prompt, modality):
    result = localize(disc_volume(0)[0], prompt, model=model, modality=modality, device="cpu")[0]
    assert result.verdict == "untrained"
    assert not result.volume.array.any()


def test_an_untrained_concept_names_the_modality(model):
    result = localize(disc_volume(0)[0], "liver", model=model, modality="CT", device="cpu")[0]
    assert result.message == 'Not trained for "liver" on CT.'


def test_an_unknown_prompt_gets_suggestions_and_the_others_go_on(model):
    unknown, known = localize(disc_volume(0)[0], ["right atrium", "liver"], model=model, device="cpu")
    assert unknown.verdict == "unknown"
    assert "left atrium" in unknown.message
    assert known.verdict == "found"


def test_hounsfield_units_tell_ct_from_mr(model):
    localizer = BuiltinLocalizer(model=model, device="cpu")
    assert localizer.guess_modality(head_ct()) == "CT"
    assert localizer.guess_modality(disc_volume(0)[0]) == "MR"


def test_lungs_in_ct_come_from_the_rule(model):
    left, right = localize(head_ct(), ["left lung", "right lung"], model=model, device="cpu")
    assert left.verdict == right.verdict == "found"
    assert left.volume_ml() > 1.1 * right.volume_ml()


def test_progress_is_reported_and_can_stop_the_work(model):
    class Stop:
        def stage(self, text, total=0):
            self.total = total

        def step(self, count=1, message=""):
            raise JobCancelledError

        def log(self, text):
            pass

    with pytest.raises(JobCancelledError):
        localize(disc_volume(0)[0], "liver", model=model, device="cpu", progress=Stop())


def test_nan_voxels_are_refused_with_the_way_out(model):
    volume, _ = disc_volume(0)
    array = volume.array.astype(np.float32)
    array[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="replace"):
        localize(volume.with_array(array), "liver", model=model)


def test_a_model_of_another_architecture_is_refused(tmp_path):
    other = write_model(tmp_path / "other.safetensors", architecture="VNet")
    with pytest.raises(ModelFileError, match="another network"):
        BuiltinLocalizer(model=other)


def test_only_the_largest_piece_of_a_single_structure_stays():
    probability = torch.zeros(6, 20, 20)
    probability[1:4, 2:10, 2:10] = 0.9
    probability[5, 15:18, 15:18] = 0.9
    kept = clean(probability, torch.ones(6), single=True)
    assert (kept >= 0.5).sum() == 3 * 64
    assert (clean(probability, torch.ones(6), single=False) >= 0.5).sum() == 3 * 64 + 9


def test_slices_without_the_concept_are_silent():
    presence = torch.tensor([0.0, 0.0, 0.0, 0.9, 0.0, 0.0])
    kept = clean(torch.ones(6, 4, 4), presence, single=False)
    assert kept.flatten(1).amax(1).tolist() == [0, 0, 1, 1, 1, 0]


def _real(data_folder: Path, dataset: str, name: str) -> Volume:
    return read_volume(data_folder / dataset / "images" / name)


def test_the_shipped_weights_find_lungs_in_a_film_with_left_left(data_folder):
    folder = data_folder / "chest_xray_kermany_lungmask" / "images" / "normal"
    volume = read_volume(sorted(folder.iterdir())[0])
    left, right, tumor = localize(volume, ["left lung", "right lung", "brain tumor"], device="cpu")
    assert left.verdict == right.verdict == "found"
    assert tumor.verdict in ("untrained", "absent")
    columns = [np.nonzero(result.mask().array[0, 0])[1].mean() for result in (right, left)]
    assert columns[0] < volume.spatial_shape[2] / 2 < columns[1]


@pytest.mark.parametrize("name", ["builtin", "builtin-research"])
def test_the_shipped_weights_and_cards_are_whole_and_small(name):
    path = BUNDLED_FOLDER / f"{name}.safetensors"
    localizer = BuiltinLocalizer(model=name, device="cpu")
    assert path.stat().st_size < 7.5e6
    assert set(localizer.settings.trained) <= set(CONCEPTS)
    assert localizer.card.research_only == (name == "builtin-research")


def test_a_scan_of_another_kind_never_gets_a_mask(model):
    pet = replace(disc_volume(0)[0], modality="other")
    result = localize(pet, "liver", model=model, device="cpu")[0]
    assert result.verdict == "untrained"
    assert result.message == 'Not trained for "liver" on this kind of image.'


def test_half_of_a_pair_that_is_missing_is_named(model):
    localizer = BuiltinLocalizer(model=model, device="cpu")
    thresholds = {"left kidney": 1.1, "right kidney": 0.5}
    localizer.settings = localizer.settings.model_copy(update={"presence_threshold": thresholds})
    result = localizer.localize(disc_volume(0)[0], ["kidneys"])[0]
    assert result.verdict == "found"
    assert result.message == '"kidneys" found, but not the left kidney.'


def test_a_picture_of_a_ct_slice_says_what_the_lung_rule_needs(model):
    picture = Volume(np.zeros((1, 1, 32, 32), np.uint8), np.diag([-1.0, 1, -1, 1]), has_physical_scale=False)
    result = localize(picture, "left lung", model=model, modality="CT", device="cpu")[0]
    assert result.verdict == "untrained"
    assert "Hounsfield" in result.message


def test_a_concept_for_pictures_only_gives_no_mask_on_a_volume(model):
    localizer = BuiltinLocalizer(model=model, device="cpu")
    localizer.settings = localizer.settings.model_copy(update={"pictures_only": ("liver",)})
    result = localizer.localize(disc_volume(0)[0], ["liver"])[0]
    assert result.verdict == "untrained"
    assert result.message == 'Not trained for "liver" on MR volumes, only on pictures.'


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.97])
def test_a_score_of_one_half_is_where_found_begins(threshold):
    assert score_of(threshold, threshold) == 0.5
    assert score_of(threshold - 0.01, threshold) < 0.5
    assert score_of(0.0, threshold) == 0.0
    assert score_of(1.0, threshold) == pytest.approx(1.0)
