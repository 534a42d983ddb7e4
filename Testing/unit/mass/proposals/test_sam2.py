from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_models
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, ModelFileError
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS
from MaskWhatMattersLib.mass.proposals.proposer import UserSegments
from MaskWhatMattersLib.mass.proposals.sam2 import Sam2Proposer, sam2_or, seed_slices
from MaskWhatMattersLib.mass.proposals.sam2_config import Sam2Config
from MaskWhatMattersLib.mass.proposals.sam2_slices import SliceMasks
from MaskWhatMattersLib.mass.proposals.sam2_video import SliceFollower
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance.text_models.loading import ModelFolder
from MaskWhatMattersLib.relevance.text_models.pixels import IMAGENET, Preprocessing
from mass_phantoms import organ_subject

CPU = torch.device("cpu")
WANTED = Preprocessing("stretch", 32, 32, *IMAGENET)
LOOSE = Sam2Config(points_per_side=4, least_stability=0, least_area_mm2=0, least_inside_body=0, box_overlap=1.0)
BODY = np.ones((20, 28), np.bool_)


class Log(SilentProgress):
    """Remembers lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return tiny_models.save_sam2_video(tmp_path_factory.mktemp("sam2"))


@pytest.fixture
def finder(weights: Path) -> Callable[..., SliceMasks]:
    model = ModelFolder(weights, CPU).model("Sam2Model")
    return lambda **changes: SliceMasks(model, CPU, WANTED, LOOSE.model_copy(update=changes))


@pytest.fixture
def follower(weights: Path) -> Callable[..., SliceFollower]:
    model = ModelFolder(weights, CPU).model("Sam2VideoModel")
    return lambda pictures, **changes: SliceFollower(model, CPU, WANTED, pictures, LOOSE.model_copy(update=changes))


def _picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (20, 28, 3), np.uint8)


def test_masks_of_a_picture_have_its_size(finder: Callable[..., SliceMasks]) -> None:
    masks = finder().find(_picture(), BODY, 1.0)
    assert masks.dtype == np.bool_
    assert len(masks) > 1
    assert masks.shape[1:] == (20, 28)
    assert masks.any((1, 2)).all()


def test_each_threshold_leaves_fewer_masks(finder: Callable[..., SliceMasks]) -> None:
    every = finder().find(_picture(), BODY, 1.0)
    largest = float(every.sum((1, 2)).max())
    for change in ({"least_predicted_overlap": 0.9}, {"least_stability": 0.99}, {"least_area_mm2": largest}):
        assert len(finder(**change).find(_picture(), BODY, 1.0)) < len(every)
    assert len(finder(box_overlap=0.3).find(_picture(), BODY, 1.0)) < len(every)
    assert len(finder(most_per_slice=1).find(_picture(), BODY, 1.0)) == 1


def test_masks_outside_of_the_body_are_left_out(finder: Callable[..., SliceMasks]) -> None:
    body = np.zeros((20, 28), np.bool_)
    body[:, :10] = True
    for mask in finder(least_inside_body=0.9).find(_picture(), body, 1.0):
        assert np.count_nonzero(mask & body) >= 0.9 * np.count_nonzero(mask)
    assert not len(finder().find(_picture(), np.zeros_like(body), 1.0))


def test_quarters_of_a_picture_add_masks_that_no_inner_edge_cuts(finder: Callable[..., SliceMasks]) -> None:
    whole = finder().find(_picture(), BODY, 1.0)
    parts = finder(crop_layers=1, most_per_slice=500).find(_picture(), BODY, 1.0)
    assert len(parts) >= len(whole)
    assert parts.shape[1:] == (20, 28)


def test_a_mask_is_followed_both_ways_and_stays_as_given_where_it_was_found(
    follower: Callable[..., SliceFollower],
) -> None:
    masks = np.zeros((3, 20, 28), np.bool_)
    masks[:, 5:10, 5:12] = True
    followed = list(follower([_picture(seed) for seed in range(5)], objects_at_once=2).follow(2, masks))
    assert [each.shape for each in followed] == [(5, 20, 28)] * 3
    np.testing.assert_array_equal(followed[0][2], masks[0])
    assert followed[0][[0, 1, 3, 4]].any((1, 2)).all()
    np.testing.assert_array_equal(followed[0], followed[2])  # whatever else is followed beside it


@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_scans_give_proposals_on_their_own_voxels(weights: Path, plane: str) -> None:
    scan, _ = organ_subject(0, (8, 10, 12), (6.0, 6.0, 6.0))
    changes = {"least_seeds": 2, "seed_every_mm": 100.0, "least_ml": 0.2, "most_per_slice": 3, "plane": plane}
    log = Log()
    proposals = Sam2Proposer(str(weights), "cpu", LOOSE.model_copy(update=changes)).propose(scan, log)
    assert proposals.spatial_shape == (8, 10, 12)
    assert proposals.spacing_mm == (6.0, 6.0, 6.0)
    assert len(proposals) >= 1
    assert set(proposals.kind) == {KINDS.index("sam2")}
    assert proposals.volume_ml.min() >= 0.2
    assert f"{len(proposals)} kept" in log.lines[-1]


def test_seed_slices_are_spread_over_the_body() -> None:
    body = np.zeros((100, 4, 4), np.bool_)
    body[20:80] = True
    assert seed_slices(body, 2.0, Sam2Config(least_seeds=1)) == [27, 42, 57, 72]
    assert len(seed_slices(body, 2.0, Sam2Config())) == 10
    assert seed_slices(body[:22], 2.0, Sam2Config()) == [20, 21]


def test_without_weights_another_proposer_takes_the_place_and_the_log_says_why() -> None:
    log, otherwise = Log(), UserSegments(())
    assert sam2_or(otherwise, "nobody/nothing-here", progress=log) is otherwise
    assert "supervoxels take its place" in log.lines[0]
    assert "consent" in log.lines[0]


def test_with_weights_it_is_sam2(weights: Path) -> None:
    assert isinstance(sam2_or(UserSegments(()), str(weights), "cpu"), Sam2Proposer)


def test_wrong_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="sam2_video"):
        Sam2Proposer(str(tiny_models.save_sam2(tmp_path)), "cpu")
    with pytest.raises(ConsentRequiredError, match="not downloaded without your consent"):
        Sam2Proposer("nobody/nothing-here", "cpu")
    with pytest.raises(InputError, match="no model folder"):
        Sam2Proposer("nothing", "cpu")


def test_a_mask_that_is_gone_is_not_followed_further(
    follower: Callable[..., SliceFollower], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = follower([_picture(seed) for seed in range(8)], empty_slices=2)
    monkeypatch.setattr(type(made._frame), "maps_on_picture", lambda frame, maps: torch.full((1, 20, 28), -1.0))
    seen: list[int] = []
    propagate = made._model.propagate_in_video_iterator
    monkeypatch.setattr(
        made._model,
        "propagate_in_video_iterator",
        lambda *given, **named: (seen.append(answer.frame_idx) or answer for answer in propagate(*given, **named)),
    )
    next(iter(made.follow(3, BODY[None])))
    assert seen == [3, 4, 5, 3, 2, 1]
