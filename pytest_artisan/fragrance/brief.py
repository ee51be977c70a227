"""What a perfume should be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_artisan.fragrance.ingredients import NOTES, Catalogue
from pytest_artisan.fragrance.limits import Product
from pytest_artisan.settings import SettingsError

# How much of a perfume comes from its top, heart and base, where a brief does not say.
PYRAMID = {"top": 0.25, "heart": 0.35, "base": 0.40}
FINE_FRAGRANCE = Product("4", 20.0)
_WISH = re.compile(r"(?:(?P<weight>\d+(?:\.\d+)?)\s*%?\s+)?(?P<without>(?:no|without)\s+)?(?P<name>.+)")


class BriefError(SettingsError):
    """A brief that can not be understood."""


@dataclass(frozen=True)
class Brief:
    """A wish in numbers.

    `families`: weights of odour families; `notes`: weights of top, heart and base; each >= 0, together above 0.
    `product`: what the perfume goes into, which sets its limits. `without`: CAS numbers that stay out.
    """

    families: Mapping[str, float]
    notes: Mapping[str, float] = field(default_factory=lambda: dict(PYRAMID))
    product: Product = FINE_FRAGRANCE
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for what, weights in (("families", self.families), ("notes", self.notes)):
            if not all(weight >= 0 and math.isfinite(weight) for weight in weights.values()) or not sum(
                weights.values()
            ):
                raise BriefError(f"a brief's {what} have weights of at least 0, not all of them 0: {dict(weights)}")
        for note in set(self.notes) - set(NOTES):
            raise BriefError(f"unknown note {note!r}; known: {', '.join(NOTES)}")


def parse_brief(text: str, catalogue: Catalogue, product: Product = FINE_FRAGRANCE) -> Brief:
    """Wishes with commas between: `60% woody, 40% citrus, base, no oakmoss`.

    Each is an odour family, a note, or a material to leave out, with its weight before it (default 1). Raises
    BriefError for a word that is none of these, UnknownMaterial for a material that is not in the catalogue.
    """
    families: dict[str, float] = {}
    notes: dict[str, float] = {}
    without = set()
    known = catalogue.families
    for wish in filter(None, (part.strip() for part in re.split(r"[,;]", text))):
        match = _WISH.fullmatch(wish)
        assert match is not None, "any text matches"
        name, weight = match["name"].strip().lower(), float(match["weight"] or 1)
        if match["without"]:
            without.add(catalogue.find(name).cas)
        elif name in known:
            families[name] = families.get(name, 0) + weight
        elif name in NOTES:
            notes[name] = notes.get(name, 0) + weight
        else:
            raise BriefError(f"brief: {name!r} is no odour family or note; known: {', '.join((*known, *NOTES))}")
    if not families:
        raise BriefError(f"brief: names no odour family; known: {', '.join(known)}")
    return Brief(families, notes or dict(PYRAMID), product, frozenset(without))
