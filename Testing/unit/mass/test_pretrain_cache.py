"""The cache of a MASS pretraining."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.mass.pretrain_cache import default_mass_cache, prepare_scans
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume
from tiny_mass_pretraining import Blocks, scan, tiny, tiny_cases, tiny_scans, write_scans


class StopsAt(SilentProgress):
    def __init__(self, step):
        self.left = step

    def step(self, count=1, message=""):
        self.left -= count
        if self.left == 0:
            raise JobCancelledError


def test_scans_are_prepared_once(tmp_path):
    proposer = Blocks()
    folder = write_scans(tmp_path / "scans")
    cases = [ImageCase(path.name, path, path.name) for path in sorted(folder.iterdir())]
    first = prepare_scans(cases, tiny(), cache=tmp_path / "cache", proposer=proposer)
    (tmp_path / "moved").mkdir()
    moved = [ImageCase(case.name, case.image.rename(tmp_path / "moved" / case.name), case.name) for case in cases]
    second = prepare_scans(moved, tiny(), cache=tmp_path / "cache", proposer=proposer)
    assert proposer.asked == 2
    assert first.folders == second.folders
    assert "2 were prepared now" in first.notes[0]
    other = tiny(preprocessing={"spacing_mm": 3.0})
    prepare_scans(moved, other, cache=tmp_path / "cache", proposer=proposer)
    assert proposer.asked == 4


def test_a_stopped_preparation_goes_on_where_it_was(tmp_path):
    proposer = Blocks()
    with pytest.raises(JobCancelledError):
        prepare_scans(tiny_cases(), tiny(), StopsAt(1), tmp_path, proposer)
    assert not list(tmp_path.glob(".writing-*"))
    prepare_scans(tiny_cases(), tiny(), cache=tmp_path, proposer=proposer)
    assert proposer.asked == 2


def test_sequences_of_one_examination_are_scans_of_their_own(tmp_path):
    both = Volume(np.concatenate([scan(0).array, scan(1).array]), scan().affine, "both", "MR")
    assert len(prepare_scans([ImageCase("both", both, "p")], tiny(), cache=tmp_path, proposer=Blocks())) == 2
    frames = Volume(np.repeat(both.array, 4, axis=0), both.affine, "frames", "MR")
    with pytest.raises(InputError, match="up to 4; found 8"):
        prepare_scans([ImageCase("frames", frames, "p")], tiny(), cache=tmp_path, proposer=Blocks())


def test_all_scans_that_cannot_be_used_are_named_and_the_others_are_kept(tmp_path):
    flat = Volume(np.ones((1, 8, 8, 8)), np.eye(4), "flat")
    (tmp_path / "bad.nii.gz").write_text("no image")
    cases = [ImageCase("flat", flat, "a"), *tiny_cases(1), ImageCase("bad", tmp_path / "bad.nii.gz", "b")]
    proposer = Blocks()
    with pytest.raises(InputError, match=r"(?s)flat.*same everywhere.*bad"):
        prepare_scans(cases, tiny(), cache=tmp_path / "cache", proposer=proposer)
    prepare_scans(tiny_cases(1), tiny(), cache=tmp_path / "cache", proposer=proposer)
    assert proposer.asked == 1
    with pytest.raises(InputError, match="no scan to learn from"):
        prepare_scans([], tiny(), cache=tmp_path / "cache", proposer=proposer)


def test_a_cache_that_cannot_be_written_to_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--cache"):
        tiny_scans(tmp_path / "file" / "cache")


def test_the_cache_of_the_user_lies_beside_that_of_relevance():
    assert default_mass_cache().name == "mass"
