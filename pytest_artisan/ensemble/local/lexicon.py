"""The words that the reference models are taught, and what a text says with them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pytest_artisan.ensemble.briefs import Language
from pytest_artisan.settings import read_toml

LANGUAGES: tuple[Language, ...] = ("ko", "en")
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f가-힣]")
_LATIN = re.compile("[a-z]")
# A Korean letter says as much as a few Latin ones.
_LETTERS_A_SYLLABLE = 3

Words = Mapping[str, list[str]]
Concept = tuple[str, str]


def normalized(text: str) -> str:
    """The text in one form (NFKC, case folded), with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def language_of(text: str) -> Language:
    """Korean where Hangul says most of it."""
    folded = normalized(text)
    return "ko" if _LETTERS_A_SYLLABLE * len(_HANGUL.findall(folded)) > len(_LATIN.findall(folded)) else "en"


@dataclass(frozen=True)
class Lexicon:
    """Words by language for families, for each value of the other fields, and for materials; phrases that hold them."""

    families: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Mapping[str, Words]]
    materials: Mapping[str, Words]
    phrases: Mapping[str, Mapping[str, Any]]
    refusals: Mapping[str, str]

    @cached_property
    def hints(self) -> dict[Language, tuple[str, ...]]:
        """Every hint of a language, each once."""
        return {
            language: tuple(
                dict.fromkeys(hint for family in self.families.values() for hint in family["hints"][language])
            )
            for language in LANGUAGES
        }

    def refused(self, text: str) -> list[tuple[int, int]]:
        """Where a normalised text speaks of what it does not want: spans of characters."""
        return [*self._reach(text)]

    def _reach(self, text: str) -> Iterator[tuple[int, int]]:
        ends = [0, *(match.end() for match in self._clause.finditer(text)), len(text)]
        for cue in self._forward.finditer(text):
            yield cue.end(), min(end for end in ends if end >= cue.end())
        for cue in self._backward.finditer(text):
            yield max(end for end in ends if end <= cue.start()), cue.start()

    def concepts(self, text: str) -> list[Concept]:
        """What a text names: (field, value) pairs, each once; in what it refuses, materials and allergens alone."""
        text = normalized(text)
        refused = self.refused(text)
        found: dict[Concept, None] = {}
        for match in self._words.finditer(text):
            inside = any(start <= match.start() < end for start, end in refused)
            for concept in self._concepts_of[match[0]]:
                if (concept[0] == "forbidden_ingredients") == inside or concept[0] == "allergen_ceiling":
                    found[concept] = None
        if self._allergy.search(text):
            found["allergen_ceiling", "0.1"] = None
        return list(found)

    @cached_property
    def _concepts_of(self) -> dict[str, list[Concept]]:
        words: dict[str, list[Concept]] = {}
        tables = [
            *(("notes_preference", family, table) for family, table in self.families.items()),
            *((field, value, table) for field, values in self.values.items() for value, table in values.items()),
            *(("forbidden_ingredients", name, table) for name, table in self.materials.items()),
        ]
        for field, value, table in tables:
            for word in (*table["ko"], *table["en"]):
                words.setdefault(normalized(word), []).append((field, value))
        return words

    @cached_property
    def _words(self) -> re.Pattern[str]:
        # The longest first. Particles follow a Korean word without a space, so that only its start is a boundary.
        words = sorted(self._concepts_of, key=len, reverse=True)
        texts = (re.escape(word) + ("" if _HANGUL.search(word) else r"(?![a-z])") for word in words)
        return re.compile(f"(?<![a-z가-힣])(?:{'|'.join(texts)})")

    @cached_property
    def _forward(self) -> re.Pattern[str]:
        return re.compile(self.refusals["forward"])

    @cached_property
    def _backward(self) -> re.Pattern[str]:
        return re.compile(self.refusals["backward"])

    @cached_property
    def _clause(self) -> re.Pattern[str]:
        return re.compile(self.refusals["clause"])

    @cached_property
    def _allergy(self) -> re.Pattern[str]:
        return re.compile(self.refusals["allergy"])


@cache
def load_lexicon() -> Lexicon:
    """The packaged lexicon."""
    tables = read_toml(Path(__file__).with_name("lexicon.toml"))
    del tables["version"]
    return Lexicon(**tables)
