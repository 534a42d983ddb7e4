"""What a prompt means: side and part words by rules, reviewed synonyms, misspellings, then sentence embedding.

Embeddings alone are unsafe: "left lung" and "right lung" are as near to each other as any two synonyms. So words for
sides and parts are taken out first and compared as words; only what is left may be matched by meaning.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from MaskWhatMattersLib.errors import InputError

MAX_PROMPT = 500
"""Characters; anything longer was pasted by mistake."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_VERBS = _set("please segment show me find mark highlight outline")
"""Dropped at the beginning only: "lung segment" is a part of the lung."""
_FILLERS = _set("the a an of in on at for side")
_CONTEXT = _set("region area organ mask tissue structure this that s visible human patient")
_IMAGE_WORDS = _set("ct mr mri xray x ray radiograph scan image slice picture volume film t1 t2 cine lge")
_REGION_WORDS = _set("chest thoracic thorax abdominal abdomen head neck cardiac heart brain")
"""Context only right before a word for an image, "chest x-ray"; elsewhere they name another thing, "neck tumor"."""
_SIDES = {"left": "left", "lt": "left", "sinister": "left", "right": "right", "rt": "right", "dexter": "right"}
_BOTH = _set("both bilateral pair two")
_PARTS = _set(
    "anterior posterior superior inferior upper lower front back middle lateral medial head neck body tail lobe apex"
)
_NEGATIONS = _set("no not without except outside excluding non")


@dataclass(frozen=True)
class Concept:
    """Something that can be asked for.

    Attributes:
        name: Canonical name, lower case.
        synonyms: Other words for it, reviewed by us.
        region: Where in the body.
        terminology: Category, type and modifier as (code, meaning) in SNOMED CT; the modifier may be None.
        colour_rgb: 0..255.
        parts: Concepts whose union this is, for example both lungs; empty for a single structure.
    """

    name: str
    synonyms: tuple[str, ...]
    region: str
    terminology: tuple[tuple[str, str], tuple[str, str], tuple[str, str] | None]
    colour_rgb: tuple[int, int, int]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Understanding:
    """What a prompt was understood as.

    Attributes:
        kind: "concept", or "unknown".
        concept: Canonical name; None when unknown.
        unsupported: A side or part word that the concept does not have ("left" hippocampus); empty otherwise.
        suggestions: Names of concepts that were near, nearest first.
        message: One sentence for the user when there is something to say.
    """

    kind: Literal["concept", "unknown"]
    concept: str | None = None
    unsupported: str = ""
    suggestions: tuple[str, ...] = ()
    message: str = ""


Matcher = Callable[[str, tuple[str, ...]], list[float]]
"""Similarity of a text to each of several others; an empty list where it cannot tell."""


@functools.cache
def load_concepts() -> dict[str, Concept]:
    """The concepts that the extension knows by name, from concepts.json beside this file."""
    rows = json.loads(Path(__file__).with_name("concepts.json").read_text(encoding="utf-8"))
    return {
        row["name"]: Concept(
            name=row["name"],
            synonyms=tuple(row["synonyms"]),
            region=row["region"],
            terminology=(
                tuple(row["category"]),
                tuple(row["type"]),
                tuple(row["modifier"]) if row["modifier"] else None,
            ),
            colour_rgb=tuple(row["colour"]),
            parts=tuple(row.get("parts", ())),
        )
        for row in rows
    }


def checked_prompt(prompt: str) -> str:
    """The prompt without surrounding white space.

    Raises:
        InputError: Nothing to read, or far too much.
    """
    text = " ".join(unicodedata.normalize("NFKC", prompt).split())
    if not text:
        raise InputError('The prompt is empty. Type what to look for, for example "left lung".')
    if len(text) > MAX_PROMPT:
        raise InputError(
            f"The prompt is too long: {len(text)} characters, at most {MAX_PROMPT} can be read. Name one structure per "
            'line, for example "left lung".'
        )
    return text


def understand(prompt: str, similarity: Matcher | None = None) -> Understanding:
    """Find the concept that a prompt names.

    Args:
        prompt: One structure in plain words.
        similarity: Sentence embedding, asked only when words alone do not decide; None: words alone.

    Raises:
        InputError: The prompt is empty or too long.
    """
    words = _words(checked_prompt(prompt))
    if set(words) & _NEGATIONS:
        negation = next(word for word in words if word in _NEGATIONS)
        return _unknown(prompt, words, f'"{negation}" cannot be understood: name what to show, not what to leave out.')
    words = _without_context(words)
    exact = _phrases().get(" ".join(sorted(words)))
    if exact:
        return Understanding("concept", exact)
    sides = [_SIDES[word] for word in words if word in _SIDES]
    both = bool(_BOTH & set(words)) or {"left", "right"} <= set(sides)
    joins = {"and"} if {"left", "right"} <= set(sides) else set()
    core = [word for word in words if word not in _SIDES and word not in _BOTH and word not in joins]
    side = "" if both or not sides else sides[0]
    found = _phrases().get(" ".join(sorted(core))) or _by_words(words) or _by_words(core)
    is_sure = found is not None
    if found is None:
        found = _by_spelling(core)
    if found is None and similarity is not None:
        found = _by_meaning(core, similarity)
    if found is None or _is_other_side(found, side, is_sure):
        return _unknown(prompt, core)
    return _with_side(found, side, [word for word in core if word in _PARTS])


def _with_side(name: str, side: str, parts: list[str]) -> Understanding:
    """Choose the left or right half of a pair; say so where there is none."""
    concept = load_concepts()[name]
    named = set(_words(name)) | {word for synonym in concept.synonyms for word in _words(synonym)}
    foreign = [word for word in parts if word not in named]
    if foreign:
        return Understanding("concept", name, foreign[0], message=_no_such_part(foreign[0], name))
    if not side or side in _words(name):
        return Understanding("concept", name)
    half = f"{side} {_singular_name(concept)}"
    if half in concept.parts:
        return Understanding("concept", half)
    return Understanding("concept", name, side, message=_no_such_part(side, name))


def _without_context(words: list[str]) -> list[str]:
    """What is left without verbs in front, fillers, and words for the image such as "on a head and neck CT"."""
    while words and words[0] in _VERBS:
        words = words[1:]
    words = [word for word in words if word not in _FILLERS]
    kept: list[str] = []
    for word in reversed(words):
        before_image = word in _REGION_WORDS or (word == "and" and bool(kept) and kept[-1] == "")
        if word in _IMAGE_WORDS or (before_image and bool(kept) and kept[-1] == ""):
            kept.append("")
        else:
            kept.append(word)
    return [word for word in reversed(kept) if word]


def _is_other_side(name: str, side: str, is_sure: bool) -> bool:
    """Whether a structure with a side in its name, "left atrium", was reached from the other side: a different one.

    An abbreviation that is sure, "LA", needs no side; a guess must have had it.
    """
    own = next((_SIDES[word] for word in _words(name) if word in _SIDES), "")
    return bool(own) and side != own and (bool(side) or not is_sure)


def _no_such_part(word: str, name: str) -> str:
    return f'"{word}" is not told apart for "{name}". Ask for "{name}".'


def _singular_name(concept: Concept) -> str:
    return concept.parts[0].split(" ", 1)[1] if concept.parts else concept.name


def _words(text: str) -> list[str]:
    """Words in lower case and singular, without punctuation."""
    return [_singular(word) for word in re.findall(r"[^\W_]+", text.casefold())]


def _singular(word: str) -> str:
    if word == "hippocampi":
        return "hippocampus"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("us", "is", "ss")) else word


@functools.cache
def _phrases() -> dict[str, str]:
    """Sorted words of every name and synonym -> concept."""
    table: dict[str, str] = {}
    for concept in load_concepts().values():
        for phrase in (concept.name, *concept.synonyms):
            key = " ".join(sorted(word for word in _words(phrase) if word not in _FILLERS))
            # The plural wins: "lung" without a side means both.
            if key not in table or concept.parts:
                table[key] = concept.name
    return table


def _by_words(words: list[str]) -> str | None:
    """A name or synonym whose words are all there, if the rest is only context such as "on chest ct"."""
    if " ".join(sorted(words)) in _phrases():
        return _phrases()[" ".join(sorted(words))]
    best: tuple[int, str] | None = None
    for phrase, name in _phrases().items():
        needed = phrase.split(" ")
        rest = [word for word in words if word not in needed and word not in _PARTS]
        fits = set(needed) <= set(words) and all(word in _CONTEXT for word in rest)
        if fits and (best is None or len(needed) > best[0]):
            best = (len(needed), name)
    return best[1] if best else None


def _by_spelling(words: list[str]) -> str | None:
    """A name or synonym with one or two letters wrong."""
    text = " ".join(sorted(word for word in words if word not in _CONTEXT))
    if len(text) < 5:
        return None
    close = difflib.get_close_matches(text, _phrases(), n=1, cutoff=0.86)
    return _phrases()[close[0]] if close else None


def _by_meaning(words: list[str], similarity: Matcher) -> str | None:
    """The concept nearest by sentence embedding, if it is near enough and clearly nearer than any other."""
    names = list(load_concepts())
    phrases = [(phrase, name) for name in names for phrase in (name, *load_concepts()[name].synonyms)]
    scores = similarity(" ".join(words), tuple(phrase for phrase, _ in phrases))
    if not scores:
        return None
    best: dict[str, float] = {}
    for (_, name), score in zip(phrases, scores, strict=True):
        best[_group(name)] = max(best.get(_group(name), -1.0), score)
    ranked = sorted(best, key=lambda name: -best[name])
    # "brainstem lesion" is near to "brain lesion", but it names the brain stem: two things at once are neither.
    named = {_group(name) for phrase, name in _phrases().items() if set(phrase.split(" ")) <= set(words)}
    if named - {ranked[0]}:
        return None
    near = best[ranked[0]] >= MEANING_THRESHOLD and best[ranked[0]] - best[ranked[1]] >= MEANING_MARGIN
    return ranked[0] if near else None


MEANING_THRESHOLD = 0.82
"""Cosine below which two phrases are taken to mean different things; see Testing/benchmarks/prompt_meaning.py."""
MEANING_MARGIN = 0.08
"""The nearest concept must lead the next by this much."""


def _group(name: str) -> str:
    """Left and right halves count as their pair."""
    for concept in load_concepts().values():
        if name in concept.parts:
            return concept.name
    return name


def _unknown(prompt: str, words: list[str], message: str = "") -> Understanding:
    text = " ".join(words)
    names = list(dict.fromkeys(_group(name) for name in load_concepts()))
    phrases = {phrase: _group(name) for phrase, name in _phrases().items()}
    telling = set(words) - _FILLERS - _CONTEXT - _PARTS - _BOTH - _SIDES.keys() - {"and"}
    close = difflib.get_close_matches(text, phrases, n=6, cutoff=0.65)
    shared = [name for phrase, name in phrases.items() if set(phrase.split(" ")) & telling]
    suggestions = tuple(dict.fromkeys([*shared, *(phrases[phrase] for phrase in close)]))[:3]
    if not message:
        short = prompt if len(prompt) <= 60 else prompt[:57] + "..."
        asked = ", ".join(f'"{name}"' for name in suggestions)
        message = f'"{short}" is not known. ' + (
            f"Did you mean {asked}?" if suggestions else f"Known are, among others, {', '.join(names[:6])}."
        )
    return Understanding("unknown", suggestions=suggestions, message=message)
