"""What a formula may hold: the arrays for an optimizer and the check of a formula agree, in every category."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan.fragrance.ingredients import Catalogue, Ingredient, UnknownMaterial, packaged
from pytest_artisan.fragrance.limits import (
    CompositionError,
    Product,
    ProductError,
    UnknownLimit,
    allergen_declarations,
    ifra_limits,
    violations,
)
from pytest_artisan.fragrance.standards import CATEGORIES, packaged_standards

BERGAMOT, LEMON, LEMONGRASS, CITRAL, DPG = "8007-75-8", "8008-56-8", "8007-02-1", "5392-40-5", "25265-71-8"
OAKMOSS, TREEMOSS, LYRAL, LINALOOL = "90028-68-5", "90028-67-4", "31906-04-4", "78-70-6"
CEDARWOOD, NUTMEG, CINNAMON = "8000-27-9", "8008-45-5", "8015-91-6"
FINE = Product("4", 20)


def rest(composition: Mapping[str, float]) -> dict[str, float]:
    """The composition, filled up with the carrier."""
    return {**composition, DPG: 100 - sum(composition.values())}


def broken(composition: Mapping[str, float], product: Product = FINE) -> list[str]:
    return [str(violation) for violation in violations(rest(composition), packaged(), product)]


@pytest.mark.parametrize(
    ("composition", "allowed"),
    [
        ({BERGAMOT: 2.0}, True),
        ({BERGAMOT: 2.0001}, False),
        ({BERGAMOT: 1.0, LEMON: 5.0}, True),
        ({BERGAMOT: 1.0, LEMON: 5.001}, False),
        ({OAKMOSS: 0.25, TREEMOSS: 0.25}, True),
        ({OAKMOSS: 0.25, TREEMOSS: 0.2501}, False),
        ({OAKMOSS: 0.5001}, False),
        ({CITRAL: 3.0}, True),
        ({CITRAL: 3.0001}, False),
        ({LYRAL: 0.0001}, False),
        ({LYRAL: 0.0}, True),
        ({CEDARWOOD: 24.8}, True),
        ({CEDARWOOD: 24.9}, False),
        ({NUTMEG: 3.33}, True),
        ({NUTMEG: 3.34}, False),
        ({}, True),
    ],
)
def test_limits_of_a_fine_fragrance_at_twenty_per_cent(composition: dict[str, float], allowed: bool) -> None:
    assert (not broken(composition)) is allowed


@pytest.mark.parametrize(
    ("name", "category", "limit"),
    [
        ("oakmoss and treemoss", "4", 0.1),
        ("oakmoss and treemoss", "1", 0.02),
        ("citral", "4", 0.6),
        ("citral", "12", None),
        ("rose ketones", "4", 0.043),
        ("hydroxycitronellal", "10A", 0.78),
        ("eugenol", "9", 4.9),
        ("coumarin", "12", 33.0),
        ("methyl eugenol", "4", 0.011),
        ("otne", "4", 20.0),
        ("cedrene", "4", 1.5),
        ("sandalore", "5D", 0.29),
        ("cyclamen aldehyde", "3", 0.038),
        ("methyl n-methylanthranilate", "11A", None),
        ("safrole", "9", 0.01),
    ],
)
def test_limits_are_those_of_the_standards(name: str, category: str, limit: float | None) -> None:
    [standard] = [standard for standard in packaged_standards().standards if standard.name == name]
    assert standard.allowed(category) == limit


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_just_reaches_a_limit_passes_and_anything_more_does_not(category: str) -> None:
    product = Product(category, 100)
    for item in packaged():
        [cap] = ifra_limits([item], product).upper.tolist()  # alone, so that each of its limits is its own
        assert not violations({item.cas: cap}, packaged(), product), item
        if cap < 99:
            assert violations({item.cas: max(cap * (1 + 1e-8), 1e-12)}, packaged(), product), item


def test_a_violation_says_what_is_over_what() -> None:
    [violation] = violations(rest({OAKMOSS: 0.3, TREEMOSS: 0.3}), packaged(), FINE)
    assert violation.found == pytest.approx(0.12)
    assert violation.allowed == 0.1
    assert len(violation.materials) == 2
    assert str(violation).endswith(", category 4)")
    assert "0.12 % > 0.1 %" in str(violation)
    [violation] = violations(rest({BERGAMOT: 2.5, LEMON: 2.5}), packaged(), FINE)
    assert str(violation) == (
        "Bergamot oil + Lemon oil: 150 % > 100 % (phototoxic: sum of shares of limits, category 4)"
    )
    [violation] = violations(rest({BERGAMOT: 3.0}), packaged(), FINE)
    assert str(violation) == "Bergamot oil: 0.6 % > 0.4 % (phototoxic, category 4)"


def test_constituents_of_naturals_count() -> None:
    percent = packaged_standards().constituents[LEMONGRASS][CITRAL]
    most = 0.6 / 0.2 / (percent / 100)
    assert not broken({LEMONGRASS: most})
    assert broken({LEMONGRASS: most * 1.001})
    assert broken({LEMONGRASS: most / 2, CITRAL: 1.501})


def test_constituents_of_several_naturals_add_up() -> None:
    composition = rest({CINNAMON: 0.8, NUTMEG: 3.3})
    assert "safrole" in {violation.limit for violation in violations(composition, packaged(), FINE)}
    alone = rest({NUTMEG: 3.3})
    assert "safrole" not in {violation.limit for violation in violations(alone, packaged(), FINE)}


@pytest.mark.parametrize("share", [math.nan, math.inf, -math.inf, -1e-9, 100.1])
def test_what_is_no_share_is_refused_and_passes_no_check(share: float) -> None:
    for check in (violations, allergen_declarations):
        with pytest.raises(CompositionError, match=r"5392-40-5: .* is no per cent of a concentrate"):
            check({CITRAL: share}, packaged(), FINE)


@pytest.mark.parametrize("limit", [math.nan, math.inf, -0.1, 100.1])
def test_an_unlisted_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(ProductError, match="an unlisted limit of"):
        ifra_limits(packaged(), FINE, limit)
    with pytest.raises(ProductError, match="an unlisted limit of"):
        violations({CITRAL: 1.0}, packaged(), FINE, limit)


def test_no_ingredient_has_no_limit() -> None:
    limits = ifra_limits([], FINE)
    assert limits.upper.shape == (0,)
    assert limits.weights.shape == (0, 0)
    assert limits.bounds.shape == (0,)


def test_a_prohibited_number_has_no_room_whatever_its_row_states() -> None:
    for ifra in (None, "restricted", "unrestricted"):
        item = Ingredient("5146-66-7", "Geranyl nitrile", ifra=ifra, max_percent=5.0)
        assert ifra_limits([item], FINE, unlisted_limit=5.0).upper[0] == 0
        [violation] = violations({item.cas: 0.01}, Catalogue([item]), FINE, unlisted_limit=5.0)
        assert violation.limit == "prohibited"


def test_light_adds_to_nothing_that_is_rinsed_off() -> None:
    assert broken({BERGAMOT: 20.0}, Product("4", 20))
    assert not any("phototoxic" in text for text in broken({BERGAMOT: 20.0}, Product("9", 1)))


@pytest.mark.parametrize("category", CATEGORIES)
@settings(max_examples=20)
@given(data=st.data())
def test_arrays_and_check_agree(category: str, data: st.DataObject) -> None:
    catalogue = packaged()
    product = Product(category, data.draw(st.sampled_from([0.5, 5.0, 20.0, 100.0])))
    chosen = data.draw(st.lists(st.sampled_from(range(len(catalogue))), min_size=1, max_size=8, unique=True))
    shares = np.zeros(len(catalogue))
    shares[chosen] = data.draw(st.lists(st.floats(1e-4, 30), min_size=len(chosen), max_size=len(chosen)).map(np.array))
    limits = ifra_limits(catalogue, product)
    within = (shares <= limits.upper * (1 + 1e-12)).all() and (
        limits.weights @ shares <= limits.bounds * (1 + 1e-12)
    ).all()
    composition = {catalogue[i].cas: float(shares[i]) for i in chosen}
    assert within == (not violations(composition, catalogue, product))


@pytest.mark.parametrize("category", CATEGORIES)
def test_half_the_dosage_leaves_room_for_twice_as_much(category: str) -> None:
    once, twice = (ifra_limits(packaged(), Product(category, dosage)) for dosage in (100, 50))
    np.testing.assert_allclose(np.minimum(2 * once.upper, 100), twice.upper)
    np.testing.assert_allclose(2 * once.bounds, twice.bounds)


shares = st.floats(0.01, 30)
numbers = st.sampled_from([item.cas for item in packaged()])
limited = st.sampled_from([item.cas for item in packaged() if item.ifra == "restricted"])


@given(st.dictionaries(numbers, shares, max_size=6), limited, shares, st.sampled_from(CATEGORIES))
def test_more_of_a_restricted_material_never_mends_anything(
    composition: dict[str, float], cas: str, more: float, category: str
) -> None:
    product = Product(category, 20)
    before = violations(composition, packaged(), product)
    after = violations({**composition, cas: composition.get(cas, 0.0) + more}, packaged(), product)
    # One phototoxic oil is judged by itself, several by the sum of their shares.
    assert {violation.limit[:10] for violation in before} <= {violation.limit[:10] for violation in after}


@given(st.dictionaries(numbers, shares, max_size=6), st.sampled_from(CATEGORIES), st.floats(1, 50))
def test_twice_the_dosage_of_half_as_much_is_the_same(
    composition: dict[str, float], category: str, dosage: float
) -> None:
    half = {cas: share / 2 for cas, share in composition.items()}
    assert violations(composition, packaged(), Product(category, dosage)) == violations(
        half, packaged(), Product(category, 2 * dosage)
    )


def test_what_nobody_states_is_an_error_and_no_freedom() -> None:
    stranger = Ingredient("7732-18-5", "Water")
    catalogue = Catalogue([*packaged(), stranger])
    with pytest.raises(UnknownLimit, match=r"Water \(7732-18-5\): nobody states"):
        ifra_limits(catalogue, FINE)
    with pytest.raises(UnknownLimit, match="Water"):
        violations({"7732-18-5": 1.0}, catalogue, FINE)
    assert ifra_limits(catalogue, FINE, unlisted_limit=0.1).upper[-1] == pytest.approx(0.5)
    assert violations({"7732-18-5": 0.51}, catalogue, FINE, unlisted_limit=0.1)
    with pytest.raises(UnknownMaterial):
        violations({"64-17-5x": 1.0}, catalogue, FINE)
    unknown = Ingredient("7732-18-5", "Water", ifra="restricted")
    with pytest.raises(UnknownLimit, match="restricted, and no limit of it is known"):
        ifra_limits([unknown], FINE)
    own = Ingredient("7732-18-5", "Water", ifra="restricted", max_percent=0.2)
    assert ifra_limits([own], FINE).upper[0] == pytest.approx(1.0)


def test_prohibited_materials_have_no_room_at_all() -> None:
    limits = ifra_limits(packaged(), FINE)
    for item, cap in zip(packaged(), limits.upper, strict=True):
        assert (cap == 0) == (item.ifra == "prohibited"), item


@pytest.mark.parametrize(("category", "least"), [("4", 0.001), ("5A", 0.001), ("9", 0.01), ("7A", 0.01)])
def test_allergens_are_declared_above_their_threshold(category: str, least: float) -> None:
    product = Product(category, 10)
    for factor, declared in ((0.99, False), (1.0, False), (1.01, True)):
        composition = rest({LINALOOL: least * 10 * factor})
        assert (LINALOOL in allergen_declarations(composition, packaged(), product)) is declared


def test_allergens_in_naturals_are_declared() -> None:
    found = allergen_declarations(rest({LEMONGRASS: 1.0}), packaged(), FINE)
    assert found[CITRAL] == pytest.approx(0.2 * packaged_standards().constituents[LEMONGRASS][CITRAL] / 100)
    benzaldehyde = allergen_declarations(rest({CINNAMON: 5.0}), packaged(), FINE)["100-52-7"]
    assert benzaldehyde == pytest.approx(0.002), "which is no packaged material itself"


@pytest.mark.parametrize(
    ("category", "dosage", "text"),
    [
        ("5", 10, "no IFRA category '5'; known: 1, 2, 3, 4, 5A"),
        ("4", 0, "a dosage of 0 %"),
        ("4", 100.5, "a dosage of 100.5 %"),
        ("4", math.nan, "a dosage of nan %"),
    ],
)
def test_products_that_are_none_are_refused(category: str, dosage: float, text: str) -> None:
    with pytest.raises(ProductError, match=text):
        Product(category, dosage)
