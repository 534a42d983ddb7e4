"""From what a person chose to all settings: preset, start model, and what was given, in that order."""

import pytest

from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.finetuning.settings import finetune_settings
from MaskWhatMattersLib.models import ModelCard, save_model
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ViTConfig, make_encoder

CONV = ResidualEncoderConfig(spatial_dims=2, widths=(4, 8), blocks=(1, 1))
VIT = ViTConfig(spatial_dims=2, image_size=(16, 16), patch_size=(8, 8), width=8, depth=2, heads=2)


def saved(folder, config):
    card = ModelCard(
        name="start",
        version="1",
        architecture="encoder",
        licence="your own data",
        config=config.model_dump(mode="json"),
        preprocessing={"image": {"spatial_dims": 2, "longest_side": 20}, "size": [16, 16]},
    )
    save_model(make_encoder(config).state_dict(), card, folder / f"{config.kind}.safetensors")
    return folder / f"{config.kind}.safetensors"


@pytest.fixture(scope="module")
def conv(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("models"), CONV)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("models"), VIT)


def test_nothing_chosen_is_the_fast_preset_in_3d():
    config, start = finetune_settings("segmentation", {})
    assert start is None
    assert (config.encoder.kind, config.encoder.spatial_dims, config.steps) == ("residual", 3, 1000)


def test_the_start_model_brings_encoder_preprocessing_and_size(conv):
    config, start = finetune_settings("classification", {}, start_model=conv, name="best")
    assert config.encoder == start.config == CONV
    assert (config.preprocessing.longest_side, config.size) == (20, (16, 16))
    assert config.schedule == "sawtooth"


def test_the_kind_of_the_start_model_chooses_the_recipe(vit):
    config, _ = finetune_settings("classification", {}, start_model=vit, name="best")
    assert (config.schedule, config.layer_decay) == ("warmup", 0.75)


def test_what_is_given_wins(conv):
    given = {"steps": 7, "preprocessing": {"longest_side": 64}, "size": [32, 32]}
    config, _ = finetune_settings("classification", given, start_model=conv, name="fast")
    assert (config.steps, config.preprocessing.longest_side, config.size) == (7, 64, (32, 32))


def test_from_scratch_all_layers_learn_alike_unless_the_person_says_otherwise():
    scratch, _ = finetune_settings("segmentation", {}, name="best", dims=3)
    assert (scratch.schedule, scratch.layer_decay) == ("warmup", 1.0)
    told, _ = finetune_settings("segmentation", {"layer_decay": 0.9, "schedule": "frozen"}, name="best", dims=3)
    assert (told.schedule, told.layer_decay) == ("frozen", 0.9)


@pytest.mark.parametrize("given", [{"size": [24, 24]}, {"encoder": {"image_size": [24, 24]}}])
def test_another_size_is_that_of_the_transformer_too(vit, given):
    config, _ = finetune_settings("classification", given, start_model=vit)
    assert config.size == config.encoder.image_size == (24, 24)


def test_settings_with_an_encoder_need_no_preset():
    given = {"encoder": VIT.model_dump(mode="json"), "preprocessing": {"spatial_dims": 2}}
    config, _ = finetune_settings("classification", given, dims=2)
    assert (config.steps, config.size) == (5000, (16, 16))


def test_another_kind_of_encoder_does_not_inherit_fields():
    config, _ = finetune_settings("classification", {"encoder": {"kind": "resnet"}}, name="fast", dims=2)
    assert config.encoder.widths == (256, 512, 1024, 2048)


def test_a_resnet_is_for_pictures():
    config, _ = finetune_settings("classification", {"encoder": {"kind": "resnet"}}, name="best")
    assert config.preprocessing.spatial_dims == 2


@pytest.mark.parametrize("encoder", [{"widths": [8, 8]}, {"kind": "resnet"}])
def test_settings_that_ask_for_another_network_are_refused(conv, encoder):
    with pytest.raises(
        ModelFileError, match=r"another network than the settings ask for: (widths is|it is a residual)"
    ):
        finetune_settings("classification", {"encoder": encoder}, start_model=conv)


def test_other_dimensions_than_those_of_the_start_model_are_refused(conv):
    with pytest.raises(ModelFileError, match="is for 2D, and 3D is asked for"):
        finetune_settings("segmentation", {}, start_model=conv, dims=3)


def test_every_wrong_setting_is_told():
    with pytest.raises(InputError) as error:
        finetune_settings("segmentation", {"steps": 0, "lerning_rate": 1, "layer_decay": 2})
    assert all(word in str(error.value) for word in ("steps", 'did you mean "learning_rate"', "layer_decay"))


def test_a_sawtooth_needs_room_for_both_of_its_teeth():
    with pytest.raises(InputError, match=r"at most 0\.5; found 0\.6"):
        finetune_settings("segmentation", {"schedule": "sawtooth", "warmup": 0.6})


def test_detection_is_for_pictures():
    with pytest.raises(InputError, match="detection is for pictures"):
        finetune_settings("detection", {"encoder": {"kind": "vit"}})
