from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from MaskWhatMattersLib.cli.names import distinct, slug, unique_slugs


def test_a_slug_is_lower_case_with_hyphens():
    assert slug("Left  Lung (upper/lower)") == "left-lung-upper-lower"


def test_a_slug_has_at_most_forty_characters():
    assert slug("the hippocampus of the left hemisphere, anterior part") == "the-hippocampus-of-the-left-hemisphere-a"


def test_prompts_that_differ_only_in_their_signs_get_different_slugs():
    slugs = unique_slugs(["left lung", "left-lung", "liver"])
    assert slugs["liver"] == "liver"
    assert re.fullmatch("left-lung-[0-9a-f]{6}", slugs["left lung"])
    assert slugs["left lung"] != slugs["left-lung"]


def test_a_prompt_without_a_latin_letter_becomes_a_hash():
    assert re.fullmatch("[0-9a-f]{6}", unique_slugs(["左肺"])["左肺"])


def test_the_slug_of_a_prompt_stays_the_same_when_others_join():
    assert unique_slugs(["左肺"])["左肺"] == unique_slugs(["liver", "🫁", "左肺"])["左肺"]


@given(st.lists(st.text(max_size=80), max_size=8, unique=True))
def test_slugs_are_distinct_and_safe_on_every_file_system(prompts):
    slugs = unique_slugs(prompts)
    assert len(set(slugs.values())) == len(prompts)
    assert all(re.fullmatch("[a-z0-9](-?[a-z0-9]){0,39}", name) and len(name) <= 40 for name in slugs.values())


def test_names_that_differ_only_in_case_are_kept_apart():
    names = distinct({"/a/Scan.nii.gz": "Scan", "/b/scan.nrrd": "scan", "/c": "other"})
    assert names["/c"] == "other"
    assert names["/a/Scan.nii.gz"].casefold() != names["/b/scan.nrrd"].casefold()
