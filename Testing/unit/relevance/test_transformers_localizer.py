"""Real classes of transformers with tiny random weights: geometry, verdicts, errors; not what the models can find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_models
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance.text_models.loading import ModelFolder
from MaskWhatMattersLib.relevance.transformers_localizer import TransformersLocalizer
from MaskWhatMattersLib.volumes import Volume, orient

ANY_SCORE = 1e-9
SAVERS: dict[str, Callable[[Path], Path]] = {
    "clipseg": tiny_models.save_clipseg,
    "grounding_dino": tiny_models.save_grounding_dino,
    "owlv2": tiny_models.save_owlv2,
    "owlvit": lambda folder: tiny_models.save_owlv2(folder, "owlvit"),
    "sam3": tiny_models.save_sam3,
    "sam": tiny_models.save_sam,
    "sam2": tiny_models.save_sam2,
}
TEXT_MODELS = ("clipseg", "grounding_dino", "owlv2", "owlvit", "sam3")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each family."""
    folders = {}
    for name, save in SAVERS.items():
        torch.manual_seed(0)
        folders[name] = save(tmp_path_factory.mktemp("models") / name)
    return folders


@pytest.fixture
def scan() -> Volume:
    """A bright block in noise, thick axial slices, oblique."""
    generator = np.random.default_rng(0)
    array = generator.normal(0, 0.1, (1, 3, 20, 26)).astype(np.float32)
    array[:, 1:, 4:12, 5:15] += 1
    turn = np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.0, 1.0, 4.0])
    return Volume(array, affine, name="scan")


@pytest.mark.parametrize("family", TEXT_MODELS)
def test_every_family_answers_each_prompt_on_the_volumes_own_grid(models, scan, family):
    localizer = TransformersLocalizer(str(models[family]), min_score=ANY_SCORE)
    answers = localizer.localize(scan, ["left lung", "brain tumor"])
    assert [answer.prompt for answer in answers] == ["left lung", "brain tumor"]
    for answer in answers:
        assert answer.verdict == "found"
        assert answer.volume.array.shape == scan.array.shape
        assert answer.volume.array.dtype == np.float32
        assert 0 <= answer.volume.array.min() <= answer.volume.array.max() <= 1
        np.testing.assert_array_equal(answer.volume.affine, scan.affine)


@pytest.mark.parametrize("family", TEXT_MODELS)
def test_the_way_voxels_are_stored_does_not_change_what_is_found_where(models, scan, family):
    localizer = TransformersLocalizer(str(models[family]), min_score=ANY_SCORE)
    expected = localizer.localize(scan, ["liver"])[0].volume
    stored_otherwise = localizer.localize(orient(scan, "ASL"), ["liver"])[0].volume
    np.testing.assert_allclose(orient(stored_otherwise, scan.orientation).array, expected.array, atol=1e-5)


@pytest.mark.parametrize("segmenter", ["sam", "sam2"])
def test_a_segmenter_replaces_the_filled_boxes_of_a_detector(models, scan, segmenter):
    detector = str(models["owlv2"])
    boxes = TransformersLocalizer(detector, min_score=ANY_SCORE).localize(scan, ["liver"])[0]
    outlines = TransformersLocalizer(detector, segmenter=str(models[segmenter]), min_score=ANY_SCORE)
    answer = outlines.localize(scan, ["liver"])[0]
    assert set(np.unique(boxes.volume.array)) <= {0.0, 1.0}
    assert ((answer.volume.array > 0) & (answer.volume.array < 1)).any()


def test_detector_and_segmenter_can_be_named_in_one_text(models):
    localizer = TransformersLocalizer(f"{models['owlv2']} + {models['sam']}")
    assert localizer.model_version == "owlv2 + sam"


def test_a_score_below_the_least_one_is_absent_and_leaves_no_relevance(models, scan):
    answer = TransformersLocalizer(str(models["sam3"]), min_score=0.99).localize(scan, ["liver"])[0]
    assert answer.verdict == "absent"
    assert answer.score < 0.99
    assert not answer.volume.array.any()


def test_a_picture_is_one_slice(models):
    affine = np.array([[-1, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=float)
    picture = Volume(np.random.default_rng(1).random((1, 1, 30, 24)), affine, has_physical_scale=False)
    answer = TransformersLocalizer(str(models["clipseg"])).localize(picture, ["left lung"])[0]
    assert answer.volume.array.shape == (1, 1, 30, 24)
    assert answer.volume_ml() is None


def test_progress_has_one_step_per_slice_and_cancel_stops_at_the_next(models, scan):
    class Impatient(SilentProgress):
        steps = 0

        def step(self, count: int = 1, message: str = "") -> None:
            self.steps += count
            if self.steps == 2:
                raise JobCancelledError

    progress = Impatient()
    with pytest.raises(JobCancelledError):
        TransformersLocalizer(str(models["clipseg"])).localize(scan, ["liver"], context=progress)
    assert progress.steps == 2


def test_other_scripts_and_long_prompts_are_read(models, scan):
    localizer = TransformersLocalizer(str(models["clipseg"]), min_score=ANY_SCORE)
    answers = localizer.localize(scan, ["左肺", "🫁", "word " * 90])
    assert [answer.verdict for answer in answers] == ["found"] * 3


@pytest.mark.parametrize("prompt", ["", "  ", "x" * 10_000])
def test_an_empty_or_endless_prompt_is_refused(models, scan, prompt):
    with pytest.raises(InputError, match="prompt is"):
        TransformersLocalizer(str(models["clipseg"])).localize(scan, [prompt])


def test_weights_that_lack_tensors_are_refused_by_name(models, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = _copy(models["clipseg"], tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("decoder.reduces.0.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelFileError, match=r"1 missing: decoder\.reduces\.0\.weight"):
        TransformersLocalizer(str(folder))


def test_a_truncated_file_is_refused(models, tmp_path):
    folder = _copy(models["clipseg"], tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="cannot be loaded as CLIPSegForImageSegmentation"):
        TransformersLocalizer(str(folder))


def test_a_pickle_is_never_opened(models, tmp_path):
    folder = _copy(models["clipseg"], tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ModelFileError, match=r"pytorch_model\.bin.*Convert"):
        TransformersLocalizer(str(folder))


def test_a_family_that_reads_no_text_is_refused_with_those_that_do(models):
    with pytest.raises(ModelFileError, match=r'"sam".*clipseg'):
        TransformersLocalizer(str(models["sam"]))


def test_a_segmenter_that_segments_no_boxes_is_refused(models):
    with pytest.raises(ModelFileError, match="does not segment boxes"):
        TransformersLocalizer(str(models["owlv2"]), segmenter=str(models["clipseg"]))


def test_a_class_that_this_transformers_lacks_is_named(models):
    folder = ModelFolder(models["clipseg"], torch.device("cpu"))
    with pytest.raises(ModelFileError, match=r"NoSuchModel.*newer version"):
        folder.model("NoSuchModel")


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"config\.json is missing"):
        TransformersLocalizer(str(tmp_path))


def test_no_model_is_refused_with_an_example():
    with pytest.raises(InputError, match="CIDAS/clipseg"):
        TransformersLocalizer()


def test_a_name_that_is_neither_folder_nor_hub_id_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no model folder"):
        TransformersLocalizer(str(tmp_path / "nothing"))


def test_nothing_is_downloaded_without_consent(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConsentRequiredError, match=r"huggingface\.co/nobody/nothing"):
        TransformersLocalizer("nobody/nothing")


def test_an_unknown_device_is_refused(models):
    with pytest.raises(InputError, match='"toaster"'):
        TransformersLocalizer(str(models["clipseg"]), device="toaster")


def _copy(folder: Path, target: Path) -> Path:
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_hub_model_is_not_fetched_without_agreement_and_says_how_to_agree():
    with pytest.raises(ConsentRequiredError, match=r"--allow-download.*consent=True"):
        TransformersLocalizer(model="nobody/no-such-model")
