"""A front of formulas as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_artisan.fragrance.brief import Brief
from pytest_artisan.fragrance.formula import Formula
from pytest_artisan.fragrance.ingredients import Catalogue
from pytest_artisan.fragrance.limits import allergen_declarations
from pytest_artisan.fragrance.objectives import OBJECTIVES


def front_lines(formulas: Sequence[Formula], catalogue: Catalogue, brief: Brief) -> Iterator[str]:
    """Each formula's objectives, then its materials, the largest first, and what a label has to declare."""
    families = ", ".join(f"{weight:g} {family}" for family, weight in brief.families.items())
    product = f"category {brief.product.category}, {brief.product.dosage:g} % of the product"
    yield f"{len(formulas)} formulas for {families} ({product}); 0 is best, 1 is worst"
    for formula in formulas:
        judged = "  ".join(f"{name} {formula.objectives[name]:.3f}" for name in OBJECTIVES)
        yield f"\n{formula.id}  {judged}"
        largest = sorted(formula.composition.items(), key=lambda part: -part[1])
        yield "  " + ", ".join(f"{catalogue.by_cas(cas).name} {share:.2f} %" for cas, share in largest)
        declared = allergen_declarations(formula.composition, catalogue, brief.product)
        names = [found.name if (found := catalogue.get(cas)) else cas for cas in declared]
        if names:
            yield f"  declare: {', '.join(names)}"
