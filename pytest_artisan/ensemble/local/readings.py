"""What a model makes of a wish: scores for every value that a brief or a hint can take."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from pytest_artisan.ensemble.briefs import FAMILIES, Language, WishBrief
from pytest_artisan.ensemble.local.examples import DEFAULTS, Example
from pytest_artisan.ensemble.local.features import Floats
from pytest_artisan.ensemble.local.lexicon import LANGUAGES, Concept, load_lexicon

_FEWEST_FAMILIES_WEIGHT, _MOST_FAMILIES = 0.1, 4
# From where on a check trusts its own reading: of a field's best value over its second, of a family, of a material.
_SURE_MARGIN, _SURE_WANTED, _SURE_UNWANTED, _SURE_FORBIDDEN = 0.6, 0.4, 0.08, 0.5
_MOST_FORBIDDEN, _HINTS = 20, 5

_ENUMS = ("mood", *DEFAULTS)


def _columns() -> dict[str, tuple[str, ...]]:
    lexicon = load_lexicon()
    return {
        **{field: tuple(lexicon.values[field]) for field in _ENUMS},
        "notes_preference": FAMILIES,
        "forbidden_ingredients": tuple(lexicon.materials),
        **{f"hints.{language}": lexicon.hints[language] for language in LANGUAGES},
    }


COLUMNS = _columns()
_ENDS = np.cumsum([len(names) for names in COLUMNS.values()])
_PARTS = {field: slice(int(end) - len(COLUMNS[field]), int(end)) for field, end in zip(COLUMNS, _ENDS, strict=True)}
# Where each field's scores stand.
PARTS = tuple(_PARTS.values())


def encode(brief: Mapping[str, Any], hints: Sequence[str] = ()) -> Floats:
    """Scores (k,) that say this brief: 1 for its values, a family's weight, 0 for all else."""
    values: dict[str, Mapping[str, float]] = {field: {str(brief[field]): 1.0} for field in _ENUMS}
    values["notes_preference"] = brief["notes_preference"]
    values["forbidden_ingredients"] = dict.fromkeys(brief["forbidden_ingredients"], 1.0)
    for language in LANGUAGES:
        values[f"hints.{language}"] = dict.fromkeys(hints, 1.0)
    return np.array([values[field].get(name, 0) for field in COLUMNS for name in COLUMNS[field]], dtype=np.float32)


def encode_examples(examples: Sequence[Example]) -> Floats:
    """(n, k)"""
    return np.stack([encode(example.brief, example.hints) for example in examples])


@dataclass(frozen=True, slots=True)
class Reading:
    """Scores (k,) of a wish in `language`, and from which score on a family or a material counts as named."""

    language: Language
    scores: Floats
    threshold: float

    def brief(self) -> dict[str, Any]:
        """The brief, always a valid one."""
        chosen = {field: COLUMNS[field][int(self.scores[_PARTS[field]].argmax())] for field in _ENUMS}
        return {
            "language": self.language,
            "mood": chosen["mood"],
            "season": chosen["season"],
            "notes_preference": self._families(),
            "forbidden_ingredients": self._forbidden(self.threshold),
            "budget_tier": chosen["budget_tier"],
            "target_profile": chosen["target_profile"],
            "product_category": chosen["product_category"],
            "allergen_ceiling": float(chosen["allergen_ceiling"]),
        }

    def hints(self) -> list[str]:
        """The likeliest hints in the wish's language."""
        field = f"hints.{self.language}"
        return [COLUMNS[field][place] for place in np.argsort(-self.scores[_PARTS[field]], kind="stable")[:_HINTS]]

    def corrected(self, brief: object, named: Collection[Concept]) -> dict[str, Any]:
        """Somebody's brief with what this reading is sure of, and what the wish has `named` word for word.

        This reading's own brief where that is none.
        """
        own = self.brief()
        try:
            given = WishBrief.model_validate_json(json.dumps(brief))
        except ValidationError:
            return own
        kept = given.model_dump(mode="json", exclude={"hints", "schema_version"})
        for field in _ENUMS:
            values = [value for about, value in named if about == field]
            if len(values) == 1:
                kept[field] = values[0]
            elif self._sure(field):
                kept[field] = own[field]
        kept["allergen_ceiling"] = float(kept["allergen_ceiling"])
        kept["language"] = self.language
        refused = [name for field, name in named if field == "forbidden_ingredients"]
        every = dict.fromkeys((*refused, *self._forbidden(_SURE_FORBIDDEN), *kept["forbidden_ingredients"]))
        kept["forbidden_ingredients"] = list(every)[:_MOST_FORBIDDEN]
        wanted = {name for field, name in named if field == "notes_preference"}
        kept["notes_preference"] = self._corrected_families(kept["notes_preference"], wanted)
        return kept

    def _families(self) -> dict[str, float]:
        scores = self.scores[_PARTS["notes_preference"]]
        best = np.argsort(-scores, kind="stable")[:_MOST_FAMILIES]
        named = {FAMILIES[place] for place in best if scores[place] >= self.threshold} or {FAMILIES[best[0]]}
        return {family: _weight(score) for family, score in zip(FAMILIES, scores, strict=True) if family in named}

    def _forbidden(self, threshold: float) -> list[str]:
        scores = self.scores[_PARTS["forbidden_ingredients"]]
        named = COLUMNS["forbidden_ingredients"]
        order = np.argsort(-scores, kind="stable")[:_MOST_FORBIDDEN]
        return [named[place] for place in order if scores[place] >= threshold]

    def _sure(self, field: str) -> bool:
        second, best = np.partition(self.scores[_PARTS[field]], -2)[-2:]
        return bool(best - second >= _SURE_MARGIN)

    def _corrected_families(self, given: Mapping[str, float], named: Collection[str]) -> dict[str, float]:
        """Where the wish names families, nothing stays that neither it nor this reading wants."""
        doubtful = self.threshold if named else _SURE_UNWANTED
        weights: dict[str, float] = {}
        for family, score in zip(FAMILIES, self.scores[_PARTS["notes_preference"]], strict=True):
            if family in named or score >= _SURE_WANTED:
                weights[family] = max(_weight(score), given.get(family, 0.0))
            elif family in given and score > doubtful:
                weights[family] = given[family]
        return weights if any(weights.values()) else dict(given)


def _weight(score: float) -> float:
    return round(float(np.clip(score, _FEWEST_FAMILIES_WEIGHT, 1)), 1)
