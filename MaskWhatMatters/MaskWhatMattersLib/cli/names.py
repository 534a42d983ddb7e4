"""File names of results: short, safe on every file system, and never the same for two results."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence

LONGEST_SLUG = 40
_HASH_LENGTH = 6


def slug(text: str) -> str:
    """Lower case, runs of anything but a-z and 0-9 as one hyphen, at most 40 characters; "" when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST_SLUG].strip("-")


def unique_slugs(texts: Sequence[str]) -> dict[str, str]:
    """A slug for each text; a short hash of the text is added where two would be equal or nothing is left.

    The slug of a text depends on its neighbours only where they collide, so that a second run with more prompts writes
    to the same files.
    """
    plain = {text: slug(text) for text in dict.fromkeys(texts)}
    shared = Counter(plain.values())
    return {text: with_hash(name, text) if not name or shared[name] > 1 else name for text, name in plain.items()}


def with_hash(name: str, identity: str, longest: int = LONGEST_SLUG) -> str:
    """The name, shortened where needed, with a short hash of the identity."""
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    kept = name[: longest - _HASH_LENGTH - 1].strip("-")
    return f"{kept}-{digest}" if kept else digest


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Names by identity, with a short hash added to all that differ from another in upper and lower case at most."""
    shared = Counter(name.casefold() for name in names.values())
    return {
        identity: with_hash(name, identity, longest=10_000) if shared[name.casefold()] > 1 else name
        for identity, name in names.items()
    }
