"""The calls of somebody who makes a perfume with Artisan: what is asked, and what has to come back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_artisan.ensemble.answers import Outcome
from pytest_artisan.gates.deployed.calls import Answers, Call, Journey
from pytest_artisan.service.contract import Dna, Health, Learnt, Live, Options, Part, Ready

_FORBIDDEN = "oakmoss"
WISH = f"fresh citrus and warm wood, without {_FORBIDDEN}"
_SUM = 0.01


def _off_sum(place: str, composition: Sequence[Part]) -> Iterator[str]:
    total = math.fsum(part.per_cent for part in composition)
    if abs(total - 100) > _SUM:
        yield f"{place}: sums to {total:.6g} %, not to 100 %"


def _dna_faults(dna: Dna, answers: Answers) -> Iterator[str]:
    yield from _off_sum("composition", dna.composition)
    if dna.outcome is Outcome.DEFAULT:
        yield f"outcome: nobody read the wish: {'; '.join(dna.remarks)}"
    for number, part in enumerate(dna.composition):
        if _FORBIDDEN in part.name.casefold():
            yield f"composition.{number}: {part.name}, which the wish forbids"


def _options_faults(options: Options, answers: Answers) -> Iterator[str]:
    asked = _options(answers)
    for field in ("dna", "algorithm"):
        if getattr(options, field) != asked[field]:
            yield f"{field}: {getattr(options, field)!r} was not asked for; {asked[field]!r} was"
    made = {tuple((part.cas, part.per_cent) for part in option.composition) for option in options.options}
    if len(made) < 3:
        yield f"options: {len(made)} different ones, at least 3 were asked for"
    for number, option in enumerate(options.options):
        yield from _off_sum(f"options.{number}.composition", option.composition)


def _learnt_faults(learnt: Learnt, answers: Answers) -> Iterator[str]:
    if learnt.experiment != answers[-1].experiment:
        yield f"experiment: {learnt.experiment!r} was not rated"


def _options(answers: Answers) -> Mapping[str, Any]:
    """First by REINFORCE, and after the feedback by PPO, which learns from it, too."""
    algorithm = "PPO" if any(isinstance(answer, Learnt) for answer in answers) else "REINFORCE"
    [dna] = [answer.id for answer in answers if isinstance(answer, Dna)]
    return {"dna": dna, "algorithm": algorithm}


def _feedback(answers: Answers) -> Mapping[str, Any]:
    offered: Options = answers[-1]
    return {"experiment": offered.experiment, "chosen": offered.options[0].id, "rating": 4, "algorithm": "PPO"}


def _metrics_faults(text: str, answers: Answers) -> Iterator[str]:
    if "\nhttp_requests_total{" not in text:
        yield "http_requests_total: is missing"


def journey() -> Journey:
    """A wish becomes DNA, options, feedback, and options that have learnt from it."""
    health = Call("GET", "/health", Health)
    options = Call("POST", "/evolve/options", Options, _options, _options_faults)
    reads = (
        health,
        Call("GET", "/health/live", Live),
        Call("GET", "/health/ready", Ready),
        Call("GET", "/metrics", str, faults=_metrics_faults),
    )
    writes = (
        health,
        Call("POST", "/dna/create", Dna, lambda answers: {"wish": WISH}, _dna_faults),
        options,
        Call("POST", "/evolve/feedback", Learnt, _feedback, _learnt_faults),
        options,
    )
    return Journey(reads, writes)
