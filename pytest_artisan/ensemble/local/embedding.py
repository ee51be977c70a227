"""Wishes as vectors, near each other where they ask for the same."""

from __future__ import annotations

import numpy as np

from pytest_artisan.ensemble.local.features import Floats, Ngrams, unit
from pytest_artisan.ensemble.local.lexicon import load_lexicon
from pytest_artisan.ensemble.local.readings import COLUMNS

_HASHED = 512
# How much of the cosine what a wish names makes up, and its letters the rest.
_NAMED = 0.92
_FAMILY, _OTHER = 2.0, 1.0
_NGRAMS = Ngrams(2, 4, _HASHED, scoped=True)
# What says the same in any language: the ids of values, without hints. That it is a perfume says nothing.
_IDS = [(field, name) for field, names in COLUMNS.items() if not field.startswith("hints") for name in names]
_PLACES = {concept: place for place, concept in enumerate(_IDS) if concept != ("product_category", "perfume")}

DIMENSIONS = len(_IDS) + _HASHED


def embed(text: str) -> Floats:
    """A unit vector (DIMENSIONS,): what the text names, in whatever language, then its hashed character 2- to 4-grams.

    A text without a word is all zeros but for one.
    """
    named = np.zeros(len(_IDS), dtype=np.float32)
    for concept in load_lexicon().concepts(text):
        if concept in _PLACES:
            named[_PLACES[concept]] = _FAMILY if concept[0] == "notes_preference" else _OTHER
    letters = unit(_NGRAMS.counts(text))
    if not letters.any():
        letters[0] = 1
    return unit(np.concatenate([np.sqrt(_NAMED) * unit(named), np.sqrt(1 - _NAMED) * letters]))
