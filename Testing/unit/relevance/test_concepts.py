"""What prompts mean."""

import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance.concepts import load_concepts, understand


@pytest.mark.parametrize(
    ("prompt", "concept"),
    [
        ("left lung", "left lung"),
        ("Lung, LEFT", "left lung"),
        ("lungs", "lungs"),
        ("both kidneys", "kidneys"),
        ("the patient's right kidney", "right kidney"),
        ("tumor", "brain tumor"),
        ("brain tumour in MRI", "brain tumor"),
        ("LA", "left atrium"),
        ("anterior hippocampus", "anterior hippocampus"),
        ("hipocampus", "hippocampus"),
        ("mandibel", "mandible"),
        ("voice box", "larynx"),
        ("esophagus", "oesophagus"),
        ("left parotid", "left parotid gland"),
    ],
)
def test_a_prompt_is_understood(prompt, concept):
    found = understand(prompt)
    assert (found.kind, found.concept, found.unsupported) == ("concept", concept, "")


@pytest.mark.parametrize("prompt", ["right atrium", "liver tumor", "kidney stone", "prostate", "🫁", "肝臓", "печень"])
def test_another_structure_stays_unknown(prompt):
    assert understand(prompt).kind == "unknown"


def test_sides_are_never_swapped():
    paired = [name for name in load_concepts() if name.startswith(("left ", "right "))]
    for name in paired:
        found = understand(name)
        assert found.concept == name


def test_a_side_that_is_not_told_apart_is_said_and_not_guessed():
    found = understand("left hippocampus")
    assert (found.concept, found.unsupported) == ("hippocampus", "left")
    assert 'Ask for "hippocampus"' in found.message


def test_a_part_that_is_not_told_apart_is_said():
    assert understand("upper liver").unsupported == "upper"


def test_negation_is_refused_in_words():
    found = understand("no liver")
    assert found.kind == "unknown"
    assert "not what to leave out" in found.message


def test_an_unknown_prompt_names_what_is_near():
    found = understand("right atrium")
    assert "left atrium" in found.suggestions
    assert "Did you mean" in found.message


@pytest.mark.parametrize("prompt", ["", "  \n\t "])
def test_an_empty_prompt_says_what_to_type(prompt):
    with pytest.raises(InputError, match="prompt is empty"):
        understand(prompt)


def test_a_pasted_text_is_too_long():
    with pytest.raises(InputError, match="10000 characters, at most 500"):
        understand("x" * 10_000)


def test_meaning_is_asked_only_when_words_do_not_decide():
    asked = []

    def similarity(text, others):
        asked.append(text)
        return [0.95 if other == "liver" else 0.1 for other in others]

    assert understand("liver", similarity).concept == "liver"
    assert asked == []
    assert understand("big gland below the diaphragm", similarity).concept == "liver"
    assert len(asked) == 1


def test_two_concepts_equally_near_in_meaning_are_not_chosen_between():
    near = understand("belly organ", lambda text, others: [0.9 if o in ("liver", "spleen") else 0.1 for o in others])
    assert near.kind == "unknown"


def test_a_meaning_without_the_side_of_the_name_is_not_accepted():
    found = understand("atrial thing", lambda text, others: [0.99 if o == "left atrium" else 0.1 for o in others])
    assert found.kind == "unknown"


def test_parts_of_a_union_are_concepts_themselves():
    concepts = load_concepts()
    assert concepts["lungs"].parts == ("left lung", "right lung")
    assert all(part in concepts for concept in concepts.values() for part in concept.parts)


@pytest.mark.parametrize("prompt", ["chest tumor", "bone tumor", "cardiac tumour", "liver segments", "left auricle"])
def test_a_tumour_or_part_of_something_else_is_not_widened_to_what_is_known(prompt):
    assert understand(prompt).kind == "unknown"


@pytest.mark.parametrize(("prompt", "part"), [("hippocampal body", "body"), ("head of the mandible", "head")])
def test_a_part_is_not_widened_to_the_whole(prompt, part):
    assert understand(prompt).unsupported == part


@pytest.mark.parametrize(
    ("prompt", "concept"),
    [
        ("mandible in head and neck CT", "mandible"),
        ("lungs on chest x-ray", "lungs"),
        ("left and right lung", "lungs"),
        ("lung on the left side", "left lung"),
        ("segment the liver", "liver"),
    ],
)
def test_words_about_the_image_and_verbs_do_not_matter(prompt, concept):
    found = understand(prompt)
    assert (found.concept, found.unsupported) == (concept, "")


def test_a_phrase_that_names_two_things_is_neither_by_meaning():
    near = understand("brainstem lesion", lambda text, others: [0.9 if o == "brain lesion" else 0.1 for o in others])
    assert near.kind == "unknown"


def test_suggestions_share_a_telling_word():
    assert understand("bone of the jaw and neck").suggestions[:1] == ("mandible",)
    assert understand("left hand").suggestions == ()
