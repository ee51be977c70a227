"""Hypothesis strategies for what `decide` is given: sessions close to GO with a few troubles, and wild ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from hypothesis import strategies as st

from pytest_artisan.verdict.decide import Expected, Purpose, Requirements
from pytest_artisan.verdict.evidence import (
    Baseline,
    Bound,
    Evidence,
    Fault,
    Finding,
    ItemResult,
    Limit,
    Measurement,
    Outcome,
    Plan,
    Samples,
)

Session = tuple[Requirements, Plan, Evidence]

GATES = ("unit", "load", "security")
NODES = {gate: tuple(f"{gate}.py::test_{n}[{n}]" for n in range(3)) for gate in GATES}
ALL_NODES = tuple(node for nodes in NODES.values() for node in nodes)
CAUSES = ("because", "-k", "")

# Far enough apart that no comparison here depends on rounding.
FINITE = (-1e308, -1.0, -0.0, 0.0, 0.5, 1.0, 1.05, 1.2, 2.0, 1e308)
finite_numbers = st.sampled_from(FINITE)
wild_numbers = st.sampled_from((*FINITE, math.nan, math.inf, -math.inf))
plain_texts = st.sampled_from(("", "because", "p95"))
_SOUND = Measurement("p95", 1.0, "ms", Limit(Bound.AT_MOST, 2.0), 300)


SAMPLES = Samples((0.0, 0.1, 0.2), (12.5, None, 0.0), (0.0, 0.1, 0.0))


def measurements(numbers: st.SearchStrategy[float], texts: st.SearchStrategy[str]) -> st.SearchStrategy[Measurement]:
    """Sound ones and any others, with numbers and texts of the caller's choice."""
    units = st.sampled_from(("ms", "s", "count"))
    spans = st.none() | st.tuples(numbers, numbers).map(lambda ends: (min(ends), max(ends)))
    limits = st.builds(Limit, st.sampled_from(Bound), numbers)
    any_other = st.builds(
        Measurement,
        name=texts,
        value=st.none() | numbers,
        unit=units,
        limit=st.none() | limits,
        n=st.none() | st.integers(-1, 500),
        interval=spans | st.tuples(numbers, numbers),
        no_data=texts,
        baseline=st.none() | st.builds(Baseline, st.none() | numbers, units, spans, st.none() | numbers),
        proven=st.sampled_from((None, True, False)),
    )
    loaded = replace(_SOUND, proven=False, samples=SAMPLES)
    return st.just(_SOUND) | st.builds(replace, st.just(loaded), doubt=st.just("") | texts) | any_other


def results(
    nodes: st.SearchStrategy[str], numbers: st.SearchStrategy[float], texts: st.SearchStrategy[str]
) -> st.SearchStrategy[ItemResult]:
    """What one of the items reported."""
    findings = st.builds(Finding, texts, texts, texts, texts, st.integers(1, 9))
    return st.builds(
        ItemResult,
        nodeid=nodes,
        outcome=st.just(Outcome.PASSED) | st.sampled_from(Outcome),
        detail=texts,
        attempts=st.sampled_from((1, 1, 1, 2)),
        measurements=st.lists(measurements(numbers, texts), max_size=2).map(tuple),
        findings=st.just(()) | st.tuples(findings),
        by_limit=st.booleans(),
        path=texts,
        line=st.integers(0, 9),
    )


def expectations(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Expected, ...]]:
    """What a policy may declare; a pattern is all, one item or a prefix."""
    kinds = ("skip", "xfail", "xpass", "deselected")
    everything = tuple(Expected(kind, "all of them") for kind in kinds)
    items = st.sampled_from(("*", "load*", *ALL_NODES))
    entry = st.builds(Expected, st.sampled_from(kinds), texts, items, st.sampled_from(("*", "because", "-k")))
    return st.just(()) | st.just(everything) | st.lists(entry, max_size=3).map(tuple)


def close_sessions(
    numbers: st.SearchStrategy[float] = wild_numbers, texts: st.SearchStrategy[str] = plain_texts
) -> st.SearchStrategy[Session]:
    """A clean session with a few troubles: often GO, and often nearly."""
    asked = st.builds(
        Requirements,
        st.sampled_from(Purpose),
        st.lists(st.sampled_from(GATES), min_size=1, unique=True).map(tuple),
        st.just("policy"),
        local_optional=st.sampled_from(((), ("security",), GATES)),
        expected=expectations(texts),
        min_items=st.sampled_from(({}, {"unit": 3}, {"load": 2})),
        partial=st.sampled_from(((), (), ("unit",))),
    )
    plans = st.sampled_from(tuple(_plans()))
    told = st.lists(results(st.sampled_from(ALL_NODES), numbers, texts), max_size=2)
    silent = st.just(frozenset[str]()) | st.frozensets(st.sampled_from(ALL_NODES), max_size=2)
    faults = st.sampled_from(((), (), (), (), ((Fault.WORKER_LOST, "gw0 died"),)))
    return st.builds(_close_session, asked, plans, told, silent, st.booleans(), st.booleans(), faults)


def _plans() -> Iterator[dict[str, tuple[str, ...]]]:
    """Every gate with three items, two, one or none; most often with all."""
    yield from [NODES] * 8
    for kept in product((3, 1, 0), repeat=len(GATES)):
        yield {gate: NODES[gate][:number] for gate, number in zip(GATES, kept, strict=True)}


def _close_session(
    asked: Requirements,
    plan: dict[str, tuple[str, ...]],
    told: list[ItemResult],
    silent: frozenset[str],
    is_removed: bool,
    is_passed_too: bool,
    faults: tuple[tuple[Fault, str], ...],
) -> Session:
    planned = frozenset(node for nodes in plan.values() for node in nodes)
    reported = tuple(result for result in told if result.nodeid in planned)
    passed = planned - silent - (frozenset() if is_passed_too else {result.nodeid for result in reported})
    removed = dict.fromkeys(sorted(silent & planned), "-k") if is_removed else {}
    return asked, Plan(plan, removed), Evidence(passed, reported, faults, {"unit": 0.1, "load": 300.0})


def wild_sessions() -> st.SearchStrategy[Session]:
    """Anything at all, however little the parts agree with each other."""
    names = st.sampled_from((*GATES, "unheard_of"))
    nodes = st.sampled_from((*ALL_NODES[:4], "stranger"))
    several_nodes, several_names = st.lists(nodes, max_size=4).map(tuple), st.lists(names, max_size=3).map(tuple)
    causes = st.dictionaries(nodes, st.sampled_from(CAUSES), max_size=2)
    asked = st.builds(
        Requirements,
        st.sampled_from(Purpose),
        several_names,
        st.just("policy"),
        local_optional=several_names,
        expected=expectations(plain_texts),
        min_items=st.dictionaries(names, st.integers(-1, 3), max_size=2),
        partial=several_names,
    )
    plan = st.builds(Plan, st.dictionaries(names, several_nodes, max_size=3), causes, several_nodes, causes)
    seen = st.builds(
        Evidence,
        st.frozensets(nodes, max_size=5),
        st.lists(results(nodes, wild_numbers, plain_texts), max_size=3).map(tuple),
        st.lists(st.tuples(st.sampled_from(Fault), plain_texts), max_size=1).map(tuple),
        st.dictionaries(names, wild_numbers, max_size=2),
        plain_texts,
        st.sampled_from((0, 0, 1, 5)),
    )
    return st.tuples(asked, plan, seen)
