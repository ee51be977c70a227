"""How bad a vulnerability is: the worst that any of its advisories says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from pytest_artisan.audit.advisories import Advisory

# CVSS v4's threat and environment say how bad it is today and elsewhere; what is judged is the flaw alone.
_BASE_V4 = ("AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA")
_LABELS = {
    "NONE": "NONE", "LOW": "LOW", "MODERATE": "MEDIUM", "MEDIUM": "MEDIUM", "HIGH": "HIGH", "CRITICAL": "CRITICAL"
}  # fmt: skip


class Severity(Enum):
    """The classes of CVSS, and one of what nobody has rated: it may be the worst, and so it counts as such."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def badness(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Rating:
    """A severity and where it comes from, such as "CVSS 3.1 of GHSA-…"; `score` of 10 and `vector` where it is one's."""

    severity: Severity
    origin: str
    score: float | None = None
    vector: str = ""


def rating_of(cluster: Iterable[Advisory]) -> Rating:
    """The rating of a vulnerability by all advisories about it; a vector or a label that can not be read may be the worst."""
    ratings = [rating for advisory in cluster for rating in _ratings(advisory)]
    known = [rating for rating in ratings if rating.severity is not Severity.UNKNOWN]
    worst = max(known, key=lambda rating: (rating.severity.badness, rating.score or 0.0), default=None)
    if worst is not None and (worst.severity is Severity.CRITICAL or len(known) == len(ratings)):
        return worst
    return next((r for r in ratings if r.severity is Severity.UNKNOWN), Rating(Severity.UNKNOWN, "nobody rates it"))


def _ratings(advisory: Advisory) -> Iterator[Rating]:
    parts = [part for part in advisory.affected if part.is_of_pypi]
    for vector in (*advisory.severity, *(vector for part in parts for vector in part.severity)):
        # Distributions have scales of their own, which say nothing here.
        if any(text.strip().upper().startswith("CVSS") for text in (vector.type, vector.score)):
            yield _by_vector(vector.score.strip(), advisory.id)
    for told in (advisory.database_specific, *(part.database_specific for part in parts)):
        label = told.get("severity") if isinstance(told, dict) else None
        if label is not None:
            yield _by_label(label, advisory.id)


def _by_label(label: Any, id_: str) -> Rating:
    known = _LABELS.get(label.strip().upper()) if isinstance(label, str) else None
    if known is None:
        return Rating(Severity.UNKNOWN, f"a label of {id_} that can not be read")
    return Rating(Severity[known], f"label of {id_}")


def _by_vector(vector: str, id_: str) -> Rating:
    score = _base_score(vector)
    if score is None:
        return Rating(Severity.UNKNOWN, f"a vector of {id_} that can not be read")
    version = vector.removeprefix("CVSS:").partition("/")[0] if vector.startswith("CVSS:") else "2.0"
    return Rating(_class_of(score), f"CVSS {version} of {id_}", score, vector)


def _class_of(score: float) -> Severity:
    """https://www.first.org/cvss/v4.0/specification-document, table of qualitative ratings."""
    bounds = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
    return next((severity for least, severity in bounds if score >= least), Severity.NONE)


@lru_cache(maxsize=65536)
def _base_score(vector: str) -> float | None:
    """The score of a vector's base metrics alone, or None where it is no vector."""
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError

    kinds: dict[str, Any] = {"CVSS:3.0": CVSS3, "CVSS:3.1": CVSS3, "CVSS:4.0": CVSS4}
    head, *metrics = vector.split("/")
    if head == "CVSS:4.0":
        vector = "/".join([head, *(metric for metric in metrics if metric.partition(":")[0] in _BASE_V4)])
    try:
        return float(kinds.get(head, CVSS2)(vector).base_score)
    except CVSSError:
        return None
