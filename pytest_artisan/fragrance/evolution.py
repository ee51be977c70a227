"""From a brief to a front of formulas within their limits."""

from __future__ import annotations

import hashlib

import numpy as np

from pytest_artisan.fragrance.brief import Brief
from pytest_artisan.fragrance.formula import Formula, weighable
from pytest_artisan.fragrance.ingredients import Catalogue, load_catalogue
from pytest_artisan.fragrance.limits import ifra_limits, violations
from pytest_artisan.fragrance.objectives import OBJECTIVES, Objectives
from pytest_artisan.moga import survival
from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.evolution import MixtureEvolution
from pytest_artisan.moga.ranking import Floats, nondominated_rank
from pytest_artisan.moga.survival import Survival
from pytest_artisan.settings import SettingsError

SMALLEST_SHARE = 0.1
MOST_INGREDIENTS = 15
# An experiment: a front that is spread evenly, whatever volume it covers.
NEW_SURVIVAL = survival.spread
HOUSE_BRIEF = Brief({"woody": 3.0, "citrus": 2.0, "floral": 1.0})


class NotPossible(SettingsError):
    """The limits leave no formula for this brief."""


def composition_of(brief: Brief, catalogue: Catalogue, unlisted_limit: float | None = None) -> Composition:
    """The limits of formulas for this brief, per cent of the concentrate. Raises NotPossible where they leave none."""
    limits = ifra_limits(catalogue, brief.product, unlisted_limit)
    upper = np.array(
        [0.0 if item.cas in brief.without else cap for item, cap in zip(catalogue, limits.upper, strict=True)]
    )
    try:
        return Composition(
            upper,
            limits.weights,
            limits.bounds,
            lower_active=SMALLEST_SHARE,
            most_active=MOST_INGREDIENTS,
            names=[item.name for item in catalogue],
            bound_names=limits.names,
        )
    except ValueError as error:
        raise NotPossible(f"category {brief.product.category}, dosage {brief.product.dosage:g} %: {error}") from None


def evolution_of(
    brief: Brief,
    catalogue: Catalogue,
    rng: np.random.Generator,
    *,
    size: int = 100,
    unlisted_limit: float | None = None,
    survive: Survival = survival.hypervolume,
) -> MixtureEvolution:
    """An evolution of formulas for this brief, to be stepped or asked and told."""
    composition = composition_of(brief, catalogue, unlisted_limit)
    return MixtureEvolution(Objectives(list(catalogue), brief), composition, rng, size=size, survive=survive)


def optimizer(seed: int) -> MixtureEvolution:
    """The optimizer that the service uses, with a brief of the house: the subject of the gate `moga_stability`."""
    return evolution_of(HOUSE_BRIEF, load_catalogue(), np.random.Generator(np.random.SFC64(seed)))


def new_optimizer(seed: int) -> MixtureEvolution:
    """The optimizer behind the flag `new_moga_optimizer`, to be judged as the other one is."""
    rng = np.random.Generator(np.random.SFC64(seed))
    return evolution_of(HOUSE_BRIEF, load_catalogue(), rng, survive=NEW_SURVIVAL)


def evolve(
    brief: Brief,
    catalogue: Catalogue | None = None,
    *,
    seed: int = 0,
    generations: int = 150,
    size: int = 100,
    unlisted_limit: float | None = None,
    survive: Survival = survival.hypervolume,
) -> tuple[Formula, ...]:
    """The front for a brief: formulas of which none is better than another in everything, the best fit first.

    Each can be weighed in hundredths of a per cent, sums to 100 and keeps every limit, which is checked once more by
    other means. The same arguments give the same front. Raises NotPossible where the limits leave no formula.
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    rng = np.random.Generator(np.random.SFC64(seed))
    evolution = evolution_of(brief, catalogue, rng, size=size, unlisted_limit=unlisted_limit, survive=survive)
    population = evolution.run(generations)
    shares, rows = _weighed(population.values, evolution.limits)
    objectives = evolution.evaluate(shares)
    best = np.flatnonzero(nondominated_rank(objectives, enough=1) == 0)
    run = digest_of(brief, catalogue, seed)
    formulas = []
    for place in best[np.lexsort(objectives[best].T[::-1])]:
        composition = {item.cas: float(share) for item, share in zip(catalogue, shares[place], strict=True) if share}
        broken = violations(composition, catalogue, brief.product, unlisted_limit)
        if broken:
            raise AssertionError(f"an evolved formula is over a limit: {broken[0]}")
        number, parents = population.ids[rows[place]], population.parents[rows[place]]
        judged = dict(zip(OBJECTIVES, objectives[place].tolist(), strict=True))
        descent = tuple(f"{run}-{parent}" for parent in dict.fromkeys(parents.tolist()) if parent >= 0)
        formulas.append(Formula(f"{run}-{number}", composition, judged, descent))
    return tuple(formulas)


def _weighed(values: Floats, limits: Composition) -> tuple[Floats, list[int]]:
    """The distinct mixtures that can be weighed, and the rows of `values` that they come from."""
    kept: dict[bytes, int] = {}
    mixtures = []
    for row, shares in enumerate(values):
        try:
            mixture = weighable(shares, limits)
        except ValueError:
            continue
        if kept.setdefault(mixture.tobytes(), row) == row:
            mixtures.append(mixture)
    return np.array(mixtures).reshape(-1, len(limits)), list(kept.values())


def digest_of(brief: Brief, catalogue: Catalogue, seed: int) -> str:
    """Names what follows from a brief, materials and a seed: the same for the same."""
    text = repr(
        (sorted(brief.families.items()), sorted(brief.notes.items()), brief.product, sorted(brief.without), seed)
    )
    materials = ",".join(item.cas for item in catalogue)
    return hashlib.sha256(f"{text}{materials}".encode()).hexdigest()[:12]
