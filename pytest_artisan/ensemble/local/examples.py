"""Wishes and the briefs they should become, made from the lexicon by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_artisan.ensemble.briefs import FAMILIES, Language
from pytest_artisan.ensemble.local.lexicon import LANGUAGES, load_lexicon

# What a brief says where a wish does not.
DEFAULTS = {
    "season": "any",
    "budget_tier": "standard",
    "target_profile": "anyone",
    "product_category": "perfume",
    "allergen_ceiling": "100.0",
}
# How often a wish says something, by field; and refuses materials.
_SAID = {
    "mood": 0.4,
    "season": 0.35,
    "budget_tier": 0.3,
    "target_profile": 0.3,
    "product_category": 0.7,
    "allergen_ceiling": 0.15,
}
_REFUSES, _ALLERGIC, _TWO, _SECOND_FAMILY, _NOISE = 0.5, 0.25, 0.3, 0.5, 0.3
# How many wishes are a few words that name one family and at most one other value.
_SHORT = 0.3


@dataclass(frozen=True, slots=True)
class Example:
    """A wish, its brief as JSON without hints, and hints for it."""

    wish: str
    brief: Mapping[str, Any]
    hints: tuple[str, ...]


def make_examples(count: int, seed: int) -> list[Example]:
    """Examples of both languages in turn."""
    rng = np.random.default_rng(seed)
    return [_Maker(rng, LANGUAGES[place % 2]).example() for place in range(count)]


class _Maker:
    """One example: phrases as they come, and the brief that they mean."""

    def __init__(self, rng: np.random.Generator, language: Language) -> None:
        self._rng, self._language, self._lexicon = rng, language, load_lexicon()
        self._phrases = self._lexicon.phrases[language]

    def example(self) -> Example:
        short = bool(self._rng.random() < _SHORT)
        families, parts = self._families(1 if short else 1 + int(self._rng.random() < _SECOND_FAMILY))
        values = {**DEFAULTS, "mood": self._lexicon.families[families[0]]["mood"]}
        parts += self._say(values, [self._any(list(_SAID))] if short else list(_SAID))
        forbidden, refusal = self._forbidden(values)
        if short:
            return self._made([*parts, *refusal], values, families, forbidden)
        if self._rng.random() < _NOISE:
            parts.append(self._any(self._phrases["noise"]))
        order = self._rng.permutation(len(parts))
        opening, closing = (self._any(self._phrases[kind]) for kind in ("opening", "closing"))
        return self._made([opening, *(parts[place] for place in order), *refusal, closing], values, families, forbidden)

    def _made(self, parts: list[str], values: Mapping[str, str], families: list[str], forbidden: list[str]) -> Example:
        brief = self._brief(values, families, forbidden)
        return Example(" ".join(filter(None, parts)), brief, self._hints(families))

    def _say(self, values: dict[str, str], fields: list[str]) -> list[str]:
        """Phrases for some of the fields, whose `values` become what they say."""
        parts = []
        for field in fields:
            if self._rng.random() < _SAID[field]:
                table = self._lexicon.values[field]
                values[field] = self._any([value for value, words in table.items() if words[self._language]])
                parts.append(self._phrase(field, self._any(table[values[field]][self._language])))
        return parts

    def _families(self, count: int) -> tuple[list[str], list[str]]:
        """The families, the main one first, and their phrases."""
        families = [str(name) for name in self._rng.choice(FAMILIES, size=count, replace=False)]
        words = [self._any(self._lexicon.families[family][self._language]) for family in families]
        kinds = ["main", "second"][:count]
        return families, [self._phrase(kind, word) for kind, word in zip(kinds, words, strict=True)]

    def _forbidden(self, values: dict[str, str]) -> tuple[list[str], list[str]]:
        """Names of materials, and the phrase that refuses them; an allergy lowers the ceiling in `values`."""
        if self._rng.random() >= _REFUSES:
            return [], []
        count = 1 + int(self._rng.random() < _TWO)
        names = [str(name) for name in self._rng.choice(list(self._lexicon.materials), size=count, replace=False)]
        words = [self._any(self._lexicon.materials[name][self._language]) for name in names]
        word = self._phrases["both"].format(*words) if count == 2 else words[0]
        allergic = bool(self._rng.random() < _ALLERGIC)
        if allergic:
            values["allergen_ceiling"] = "0.1"
        return names, [", " + self._phrase("allergic" if allergic else "without", word) + ","]

    def _brief(self, values: Mapping[str, str], families: list[str], forbidden: list[str]) -> dict[str, Any]:
        """In the order of the schema's fields, and families in theirs: the sampler learns this order."""
        weights = {family: (0.9, 0.5)[place] for place, family in enumerate(families)}
        return {
            "language": self._language,
            "mood": values["mood"],
            "season": values["season"],
            "notes_preference": {family: weights[family] for family in FAMILIES if family in weights},
            "forbidden_ingredients": forbidden,
            "budget_tier": values["budget_tier"],
            "target_profile": values["target_profile"],
            "product_category": values["product_category"],
            "allergen_ceiling": float(values["allergen_ceiling"]),
        }

    def _hints(self, families: list[str]) -> tuple[str, ...]:
        """Three of the main family, two of the second."""
        tables = [self._lexicon.families[family]["hints"][self._language] for family in families]
        picked = [
            self._rng.choice(table, size=size, replace=False) for table, size in zip(tables, (3, 2), strict=False)
        ]
        return tuple(str(hint) for hint in np.concatenate(picked))

    def _phrase(self, kind: str, word: str) -> str:
        return self._any(self._phrases[kind]).format(word)

    def _any(self, choices: Sequence[str]) -> str:
        return choices[int(self._rng.integers(len(choices)))]
