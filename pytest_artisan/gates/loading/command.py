"""What `artisan load-smoke` does: the gate's load and judgement, outside of a session."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.load_smoke import ITEM
from pytest_artisan.gates.loading.evidence import of_record, record_of
from pytest_artisan.gates.loading.telling import json_of, text_of
from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.load.record import Record
from pytest_artisan.load.run import Interrupted
from pytest_artisan.release.baselines import Baselines
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State

_EVERY_S = 5.0
_TELLERS = {"text": text_of, "json": json_of}


def load_smoke(project: Project, table: LoadSmoke, url: str | None, recorded: Baselines | None, form: str) -> State:
    """Run it, and print what it showed, as `form` has it.

    Raises NoEvidence, NotAllowed where the load must not be, and KeyboardInterrupt once the partial result is printed.
    """
    shown = _Shown()
    try:
        record = record_of(replace(project, watched=shown), table, url)
    except Interrupted as interrupted:
        _print(interrupted.record, table, recorded, form)
        raise
    finally:
        shown.end()
    return _print(record, table, recorded, form)


def no_evidence(error: NoEvidence, form: str) -> None:
    """Print that nothing could be measured."""
    record = {"state": State.NO_EVIDENCE, "reasons": [str(error)]}
    if form == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(record), indent=2).decode())
    else:
        print(f"NO-EVIDENCE {one_line(str(error))}\n{State.NO_EVIDENCE}")


def _print(record: Record, table: LoadSmoke, recorded: Baselines | None, form: str) -> State:
    evidence = of_record(record, table)
    if recorded is not None:
        compared = (replace(m, baseline=recorded.of(ITEM, m.name, m.samples)) for m in evidence.measurements)
        evidence = CheckEvidence(tuple(compared), evidence.findings)
    print(_TELLERS[form](record, evidence))
    return state_of(evidence)


class _Shown:
    """A line on standard error for who waits: redrawn on a terminal, elsewhere a new one every five seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY_S
        self._redraws = sys.stderr.isatty()

    def __call__(self, line: str) -> None:
        if self._redraws:
            print(f"\r\x1b[K{one_line(line)}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next:
            self._next += _EVERY_S
            print(one_line(line), file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._redraws:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
