"""Briefs, objectives, formulas and their evolution."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan import cli
from pytest_artisan.fragrance.brief import Brief, BriefError, parse_brief
from pytest_artisan.fragrance.evolution import NotPossible, composition_of, evolve, optimizer
from pytest_artisan.fragrance.formula import weighable
from pytest_artisan.fragrance.ingredients import Catalogue, UnknownMaterial, packaged
from pytest_artisan.fragrance.limits import Product, violations
from pytest_artisan.fragrance.objectives import OBJECTIVES, Objectives
from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.evolution import MixtureEvolution

WOODY = Brief({"woody": 1.0})
GLOSSARY = Path(__file__).parents[2] / "shared/data/fragrance/ifra_glossary_2019.csv"


def drawn(seed: int, count: int = 20) -> np.ndarray:
    return composition_of(WOODY, packaged()).sample(np.random.default_rng(seed), count)


def judged(brief: Brief, shares: np.ndarray, catalogue: Catalogue | None = None) -> dict[str, np.ndarray]:
    return dict(zip(OBJECTIVES, Objectives(list(catalogue or packaged()), brief)(shares).T, strict=True))


@pytest.mark.parametrize(
    ("text", "brief"),
    [
        ("woody", Brief({"woody": 1.0})),
        ("60% woody, 40 % Citrus", Brief({"woody": 60.0, "citrus": 40.0})),
        ("2 woody; base; 3 top", Brief({"woody": 2.0}, {"base": 1.0, "top": 3.0})),
        ("woody, woody, no Oakmoss", Brief({"woody": 2.0}, without=frozenset({"90028-68-5"}))),
    ],
)
def test_briefs_are_read(text: str, brief: Brief) -> None:
    assert parse_brief(text, packaged()) == brief


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("", BriefError, "names no odour family; known: "),
        ("no oakmoss", BriefError, "names no odour family"),
        ("wody", BriefError, "'wody' is no odour family or note; known: "),
        ("0 woody", BriefError, "not all of them 0"),
        ("woody, no unobtainium", UnknownMaterial, "no material 'unobtainium'"),
    ],
)
def test_briefs_that_can_not_be_read_say_what_is_known(text: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        parse_brief(text, packaged())


@given(st.integers(0, 2**32 - 1), st.sampled_from(packaged().families))
def test_objectives_are_between_0_and_1(seed: int, family: str) -> None:
    found = Objectives(list(packaged()), Brief({family: 1.0}))(drawn(seed))
    assert found.shape == (20, 4)
    assert ((found >= 0) & (found <= 1)).all()


def test_a_formula_without_odour_is_the_worst_but_for_its_cost() -> None:
    carrier = np.array([[100.0 if item.name.lower() == "dipropylene glycol" else 0.0 for item in packaged()]])
    found = judged(WOODY, carrier)
    assert found["misfit"][0] == found["sameness"][0] == found["fading"][0] == 1
    assert found["cost"][0] < 0.2


@given(st.integers(0, 2**32 - 1), st.integers(0, 10**6), st.floats(1.01, 50))
def test_a_dearer_material_never_makes_a_formula_cheaper(seed: int, which: int, factor: float) -> None:
    items = list(packaged())
    place = which % len(items)
    before = judged(WOODY, drawn(seed))
    items[place] = replace(items[place], price=(items[place].price or 50.0) * factor)
    known = [replace(item, price=item.price or 50.0) for item in packaged()]
    dearer = [replace(item, price=item.price or 50.0) for item in items]
    cheap, dear = judged(WOODY, drawn(seed), Catalogue(known)), judged(WOODY, drawn(seed), Catalogue(dearer))
    assert (dear["cost"] >= cheap["cost"]).all()
    assert (before["misfit"] == dear["misfit"]).all(), "a price is no odour"


@given(st.integers(0, 2**32 - 1))
def test_what_is_more_volatile_fades_more(seed: int) -> None:
    shares = drawn(seed)
    tenfold = Catalogue(replace(item, vapour_pressure=10 * (item.vapour_pressure or 1.0)) for item in packaged())
    plain = Catalogue(replace(item, vapour_pressure=item.vapour_pressure or 1.0) for item in packaged())
    assert (judged(WOODY, shares, tenfold)["fading"] >= judged(WOODY, shares, plain)["fading"] - 0.2).all()


def test_more_of_what_is_wanted_fits_better() -> None:
    names = [item.name for item in packaged()]
    woody = next(i for i, item in enumerate(packaged()) if item.families == ("woody",) and item.note == "base")
    shares = np.zeros((3, len(names)))
    carrier = next(i for i, item in enumerate(packaged()) if not item.families)
    for row, share in enumerate((10.0, 40.0, 90.0)):
        shares[row, [woody, carrier]] = share, 100 - share
    assert (np.diff(judged(WOODY, shares)["misfit"]) < 0).all()


def test_another_brief_shifts_the_front() -> None:
    fronts = {}
    for family in ("woody", "citrus"):
        formulas = evolve(Brief({family: 1.0}), generations=30, size=40)
        best = formulas[0].composition
        fronts[family] = sum(share for cas, share in best.items() if family in packaged().by_cas(cas).families)
        assert fronts[family] > 20
    assert evolve(Brief({"woody": 1.0}), generations=5)[0].id != evolve(Brief({"citrus": 1.0}), generations=5)[0].id


@pytest.mark.parametrize("product", [Product("4", 20), Product("5D", 1), Product("9", 2.5), Product("1", 100)])
def test_no_formula_over_a_limit_comes_out(product: Product) -> None:
    formulas = evolve(Brief({"floral": 2.0, "citrus": 1.0}, product=product), generations=15, size=40)
    assert formulas
    for formula in formulas:
        assert not violations(formula.composition, packaged(), product)
        assert round(sum(round(share * 100) for share in formula.composition.values())) == 10_000
        assert len(formula.composition) <= 15
        assert min(formula.composition.values()) >= 0.1
        assert set(formula.objectives) == set(OBJECTIVES)
        assert len(formula.parents) <= 3


def test_the_same_arguments_give_the_same_front() -> None:
    assert evolve(WOODY, generations=8, seed=3) == evolve(WOODY, generations=8, seed=3)
    assert evolve(WOODY, generations=8, seed=3) != evolve(WOODY, generations=8, seed=4)


def test_what_is_left_out_stays_out() -> None:
    wanted = {"woody": 1.0}
    without = frozenset(item.cas for item in packaged() if "woody" in item.families)
    for formula in evolve(Brief(wanted, without=without), generations=5):
        assert not without & set(formula.composition)
    with pytest.raises(NotPossible, match=r"category 4, dosage 20 %: the components' limits allow 0 in all"):
        evolve(Brief(wanted, without=frozenset(item.cas for item in packaged())))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_formulas_can_be_weighed_within_their_limits(seed: int) -> None:
    limits = Composition([100, 33.337, 20.004, 7.7777, 5], [[0, 0, 1, 1, 0]], [21.0049], lower_active=0.1)
    for shares in limits.sample(np.random.default_rng(seed), 20):
        weighed = weighable(shares, limits)
        assert round((weighed * 100).sum()) == 10_000
        assert limits.kept(weighed[None]).all()
        assert np.abs(weighed - shares).max() < 0.06


def test_limits_without_a_last_hundredth_are_refused() -> None:
    tight = Composition([33.335, 33.335, 33.335])
    with pytest.raises(ValueError, match="no room for the last hundredth"):
        weighable(tight.project([[33.3333, 33.3333, 33.3334]])[0], tight)


def test_the_gates_subject_is_the_services_optimizer() -> None:
    evolution = optimizer(1)
    evolution.run(3)
    assert evolution.objectives.shape == (100, 4)
    assert evolution.limits.kept(evolution.values).all()


def test_the_command_prints_a_front(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["evolve", "--brief", "50% woody, 50% citrus", "--generations", "5"]) == 0
    told = capsys.readouterr().out
    assert "formulas for 50 woody, 50 citrus (category 4, 20 % of the product)" in told
    assert "misfit 0." in told
    assert "declare: " in told
    mine = tmp_path / "mine.csv"
    mine.write_text("cas,name,families,note\n54464-57-2,Iso,woody,base\n25265-71-8,DPG,,\n", encoding="utf-8")
    assert cli.main(["evolve", "--brief", "woody", "--ingredients", str(mine), "--generations", "5"]) == 0
    assert "Iso " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--brief", "nothing known"], "'nothing known' is no odour family"),
        (["--brief", "woody", "--category", "99"], "no IFRA category '99'"),
        (["--brief", "woody", "--dosage", "0"], "a dosage of 0 %"),
        (["--brief", "woody", "--ingredients", "nowhere.csv"], "nowhere.csv: no table"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evolve", *arguments]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not captured.out


@pytest.mark.parametrize(
    "arguments",
    [["--generations", "0"], ["--seed", "-1"], ["--unlisted-limit", "nan"], ["--unlisted-limit", "0"]],
)
def test_numbers_that_make_no_sense_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["evolve", "--brief", "woody", *arguments])
    assert caught.value.code == 2
    assert f"argument {arguments[0]}: {arguments[1]} is not above" in capsys.readouterr().err


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: MixtureEvolution, generations: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MixtureEvolution, "run", interrupted)
    assert cli.main(["evolve", "--brief", "woody"]) == 130
    assert capsys.readouterr().err == "artisan: interrupted\n"


@pytest.mark.skipif(not GLOSSARY.exists(), reason="the IFRA glossary is not beside the project")
def test_thousands_of_materials_evolve(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evolve", "--brief", "woody", "--ingredients", str(GLOSSARY), "--generations", "3"]
    assert cli.main(arguments) == 2
    assert "nobody states whether it is restricted" in capsys.readouterr().err
    assert cli.main([*arguments, "--unlisted-limit", "2"]) == 0
    captured = capsys.readouterr()
    assert "formulas for 1 woody" in captured.out
    assert "rows not taken as they stand" in captured.err
