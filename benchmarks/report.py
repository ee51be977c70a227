"""What the HTML report of 10,000 tests takes, beside pytest-html: `python benchmarks/report.py`.

Both times are what a session takes longer with its page than without. pytest-html lists each test, which ours does not:
the page of a verdict holds what decides.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from checkpoints import timed
from moga import spread, table

from pytest_artisan.reports.html.page import as_html
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import Evidence, ItemResult, Outcome, Plan

TESTS = 10_000
QUIET = ("-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:schemathesis", "--show-capture=no")
GATES = ("--artisan-gates=unit", "--artisan-journal=journal.jsonl")
KINDS = {"passing": "True", "failing": "not number"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rows = [
        (kind, *page(verdict(outcome), rounds))
        for kind, outcome in (("passing", Outcome.PASSED), ("failing", Outcome.FAILED))
    ]
    table(f"The page alone, {rounds} rounds; goals 1 s and 1 MB", ("10,000 tests", "seconds", "kB"), rows)
    rows = []
    for kind, check in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            numbers = f"@pytest.mark.parametrize('number', range(1, {TESTS + 1}))"
            folder.joinpath("test_it.py").write_text(
                f"import pytest\n{numbers}\ndef test_it(number):\n    assert {check}\n"
            )
            folder.joinpath("pyproject.toml").write_text(
                '[tool.pytest.ini_options]\n[tool.artisan]\nrequired = ["unit"]\n'
            )
            ours = added(rounds, folder, GATES, "--artisan-report=ours.html")
            theirs = added(rounds, folder, ("-p", "no:artisan"), "--html=theirs.html", "--self-contained-html")
            sizes = [folder.joinpath(name).stat().st_size / 1000 for name in ("ours.html", "theirs.html")]
            rows.append((kind, f"{ours:+.2f} s, {sizes[0]:,.0f} kB", f"{theirs:+.2f} s, {sizes[1]:,.0f} kB"))
    table(f"A session longer, median of {rounds} rounds, and its page", ("10,000 tests", "ours", "pytest-html"), rows)


def verdict(outcome: Outcome) -> Verdict:
    """Of 10,000 items, each with a text of its own where it failed."""
    items = tuple(f"tests/test_it.py::test_{number}" for number in range(TESTS))
    told = tuple(ItemResult(item, outcome, f"assert {number} == 0") for number, item in enumerate(items))
    asked = Requirements(Purpose.RELEASE, ("unit",), "0" * 64)
    return decide(asked, Plan({"unit": items}), Evidence(frozenset(), told, exit_status=int(outcome is Outcome.FAILED)))


def page(made: Verdict, rounds: int) -> tuple[str, str]:
    """Seconds of every round, and kilobytes."""
    render: Callable[[], str] = partial(as_html, made, datetime.now(UTC))
    return spread([timed(render) for _ in range(rounds)]), f"{len(render().encode()) / 1000:,.0f}"


def added(rounds: int, folder: Path, options: tuple[str, ...], *report: str) -> float:
    """How many seconds a session takes longer with a report."""
    with_it, without = [], []
    for _ in range(rounds):
        without.append(timed(partial(session, folder, *options)))
        with_it.append(timed(partial(session, folder, *options, *report)))
    return statistics.median(with_it) - statistics.median(without)


def session(folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pytest", *QUIET, *options]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    assert done.returncode in (0, 1), done.returncode


if __name__ == "__main__":
    main()
