"""From a brief in words to a formula: its DNA, the same for the same brief."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from pytest_artisan.ensemble.answers import Answer
from pytest_artisan.ensemble.briefs import BudgetTier, ProductCategory, Season, WishBrief
from pytest_artisan.fragrance.brief import PYRAMID, Brief
from pytest_artisan.fragrance.evolution import NEW_SURVIVAL, NotPossible, evolve
from pytest_artisan.fragrance.formula import Formula
from pytest_artisan.fragrance.ingredients import Catalogue, UnknownMaterial, load_catalogue
from pytest_artisan.fragrance.limits import Product, allergen_declarations
from pytest_artisan.fragrance.objectives import price_of
from pytest_artisan.fragrance.standards import packaged_standards
from pytest_artisan.moga import survival
from pytest_artisan.moga.survival import Survival
from pytest_artisan.service.contract import Dna, JudgedBy, Part
from pytest_artisan.service.snapshot import catalogue_digest, digest
from pytest_artisan.service.store import DatabaseStore

GENERATIONS = 20
_SEED = 0
_ID_DIGITS = 16
# What lifts in the heat and stays in the cold: summer is top-heavy, winter base-heavy.
PYRAMIDS: Mapping[Season, Mapping[str, float]] = {
    "any": PYRAMID,
    "spring": {"top": 0.30, "heart": 0.40, "base": 0.30},
    "summer": {"top": 0.40, "heart": 0.35, "base": 0.25},
    "autumn": {"top": 0.20, "heart": 0.35, "base": 0.45},
    "winter": {"top": 0.15, "heart": 0.30, "base": 0.55},
}
# IFRA's category of the product, and per cent of the concentrate that is usual in it.
PRODUCTS: Mapping[ProductCategory, Product] = {
    "perfume": Product("4", 20.0),
    "cologne": Product("4", 5.0),
    "body_lotion": Product("5A", 0.8),
    "hand_cream": Product("5C", 0.6),
    "deodorant": Product("2", 1.0),
    "shower_gel": Product("9", 1.2),
    "shampoo": Product("9", 0.8),
    "candle": Product("12", 8.0),
}
# The highest price of a kilogram of concentrate, USD.
DEAREST: Mapping[BudgetTier, float] = {"economy": 30.0, "standard": 60.0, "premium": 150.0, "luxury": math.inf}


class Creation:
    """Makes DNA and finds it again; every call may be made from any thread."""

    def __init__(self, store: DatabaseStore, catalogue: Catalogue | None = None) -> None:
        self._store = store
        self._catalogue = load_catalogue() if catalogue is None else catalogue

    def create(self, answer: Answer, *, anew: bool = False) -> Dna:
        """The DNA of an answer's brief, evolved where nobody has asked for it before; `anew`: by the new optimizer.

        Raises NotPossible.
        """
        made = [answer.brief.model_dump(), catalogue_digest(self._catalogue), GENERATIONS, _SEED]
        id = digest([*made, *([NEW_SURVIVAL.__name__] if anew else [])])[:_ID_DIGITS]
        known = self.find(id)
        if known is not None:
            return self._dna(answer, id, known.composition, known.objectives)
        formula = self._evolved(answer.brief, NEW_SURVIVAL if anew else survival.hypervolume)
        dna = self._dna(answer, id, self.parts(formula.composition), JudgedBy(**formula.objectives))
        # Where it is there by now, another request made the same of the same brief meanwhile.
        with suppress(KeyError):
            self._store.add_dna(id, dna.model_dump_json().encode())
        return dna

    def find(self, id: str) -> Dna | None:
        """The DNA of this id as it was created, if there is one."""
        record = self._store.dna(id)
        return None if record is None else Dna.model_validate_json(record)

    def brief_of(self, wish: WishBrief) -> tuple[Brief, list[str]]:
        """The brief in numbers, and the names of forbidden ingredients that the catalogue does not know."""
        without, unknown = set(), []
        for name in wish.forbidden_ingredients:
            try:
                without.add(self._catalogue.find(name).cas)
            except UnknownMaterial:
                unknown.append(name)
        notes, product = PYRAMIDS[wish.season], PRODUCTS[wish.product_category]
        families = {str(family): weight for family, weight in wish.notes_preference.items()}
        return Brief(families, notes, product, frozenset(without)), unknown

    def parts(self, composition: Mapping[str, float]) -> tuple[Part, ...]:
        """A composition with names, the largest share first."""
        shares = sorted(composition.items(), key=lambda part: (-part[1], part[0]))
        return tuple(Part(cas=cas, name=self._catalogue.by_cas(cas).name, per_cent=share) for cas, share in shares)

    def remarks_on(self, composition: Mapping[str, float], objectives: JudgedBy, wish: WishBrief) -> Iterator[str]:
        """What a brief asks for and a formula does not keep.

        A material that is forbidden is no part of it, and may yet be in a natural one: who is allergic has to know.
        """
        without = self.brief_of(wish)[0].without
        for natural, constituents in packaged_standards().constituents.items():
            for cas in sorted(without & constituents.keys()) if natural in composition else ():
                forbidden, whole = self._catalogue.by_cas(cas).name, self._catalogue.by_cas(natural).name
                yield f"forbidden ingredient {forbidden}: a constituent of {whole}"
        allergens = self._allergens(wish, composition)
        if allergens > wish.allergen_ceiling:
            yield f"allergens: {allergens:.4g} % of the product, above the ceiling of {wish.allergen_ceiling:.4g} %"
        price, dearest = price_of(objectives.cost), DEAREST[wish.budget_tier]
        if price > dearest:
            yield f"budget: {price:.4g} USD a kilogram, above the {dearest:.4g} USD of the tier {wish.budget_tier}"

    def _evolved(self, wish: WishBrief, survive: Survival) -> Formula:
        brief, _ = self.brief_of(wish)
        front = evolve(brief, self._catalogue, seed=_SEED, generations=GENERATIONS, survive=survive)
        if not front:
            raise NotPossible("the limits leave no formula that can be weighed")
        return self._chosen(wish, front)

    def _chosen(self, wish: WishBrief, front: Sequence[Formula]) -> Formula:
        """The best fit of those within budget and ceiling, else the fewest allergens that the budget allows.

        Where the budget allows none at all: the cheapest of those within the ceiling, else the fewest allergens.
        """
        allergens = {formula.id: self._allergens(wish, formula.composition) for formula in front}
        dearest, ceiling = DEAREST[wish.budget_tier], wish.allergen_ceiling
        affordable = [formula for formula in front if price_of(formula.objectives["cost"]) <= dearest]
        fitting = [formula for formula in affordable if allergens[formula.id] <= ceiling]
        if fitting:
            return min(fitting, key=lambda formula: formula.objectives["misfit"])
        return min(
            affordable or front, key=lambda formula: (max(allergens[formula.id], ceiling), formula.objectives["cost"])
        )

    def _dna(self, answer: Answer, id: str, composition: tuple[Part, ...], objectives: JudgedBy) -> Dna:
        wish = answer.brief
        _, unknown = self.brief_of(wish)
        remarks = [*answer.remarks, *(f"forbidden ingredient not known: {name}" for name in unknown)]
        remarks += self.remarks_on({part.cas: part.per_cent for part in composition}, objectives, wish)
        return Dna(
            id=id,
            brief=wish,
            mode=answer.mode,
            source=answer.source,
            outcome=answer.outcome,
            composition=composition,
            objectives=objectives,
            remarks=tuple(remarks),
        )

    def _allergens(self, wish: WishBrief, composition: Mapping[str, float]) -> float:
        """Allergens to declare, per cent of the finished product."""
        product = PRODUCTS[wish.product_category]
        return math.fsum(allergen_declarations(composition, self._catalogue, product).values())
