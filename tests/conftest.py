"""A project under test: its files, its sessions, and what they answered."""

from __future__ import annotations

import os
import signal
import textwrap
from dataclasses import dataclass
from pathlib import Path

import httpcore2  # noqa: F401 - as below; httpx2 imports it late
import msgspec
import pytest
from forked_session import forked_session

# Whole, and once: pytester forgets what a session imported; a forgotten module can not be patched, numpy not come back,
# and an exception not be caught by its second self.
import pytest_artisan.activation
import pytest_artisan.cli
import pytest_artisan.ensemble.local.server
import pytest_artisan.gates.auditing.sources
import pytest_artisan.gates.briefing.evidence
import pytest_artisan.gates.deployed.journey
import pytest_artisan.gates.stability.evidence  # noqa: F401
from pytest_artisan.reports.machine import Document
from pytest_artisan.verdict.decide import Verdict

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in whatever a shell runs in the background: what is started from here would never see a Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_INHERITED = ("CI", "PYTEST_", "GITHUB_", "ARTISAN_", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "COV_", "COVERAGE_")
# Only the plugins that a test may need: loading all that are installed takes longer than a session.
_PLUGINS = tuple(f"-p{name}" for name in ("artisan", "xdist", "timeout", "rerunfailures"))


@dataclass(frozen=True)
class Run:
    """One session: its exit status, its output, and its JSON report where it wrote one."""

    status: int
    out: str
    err: str
    verdict: Verdict | None

    @property
    def last_line(self) -> str:
        return (self.out.rstrip().splitlines() or [""])[-1]

    @property
    def told(self) -> str:
        """Every reason as one text."""
        reasons = self.verdict.reasons if self.verdict else ()
        return "\n".join(f"{r.gate}|{r.code}|{r.subject}|{r.text}" for r in reasons)

    def state(self, gate: str) -> str:
        assert self.verdict is not None
        [found] = [g for g in self.verdict.gates if g.name == gate]
        return str(found.state)


class Project:
    """A project in a folder of its own, with a policy that requires the unit gate."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path: Path = pytester.path
        self.report = self.path / "verdict.json"
        self.policy('required = ["unit"]')

    def policy(self, text: str) -> None:
        self.write("pyproject.toml", f"[tool.pytest.ini_options]\n[tool.artisan]\n{textwrap.dedent(text)}\n")

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def tests(self, text: str, name: str = "test_it.py") -> Path:
        return self.write(name, "import pytest\n" + textwrap.dedent(text))

    def run(
        self, *arguments: str, gates: str = "--artisan-gates", subprocess: bool = False, forked: bool = False
    ) -> Run:
        """A session with gates and a JSON report: in this process, in a new one, or in one that is forked."""
        whole = (*filter(None, [gates]), "--artisan-report=verdict.json", *arguments)
        if forked:
            return self._told(*forked_session(self.path, [*_PLUGINS, *whole]))
        return self.plain(*whole, subprocess=subprocess)

    def plain(self, *arguments: str, subprocess: bool = False) -> Run:
        """A session with just these arguments."""
        start = self.pytester.runpytest_subprocess if subprocess else self.pytester.runpytest_inprocess
        result = start(*_PLUGINS, *arguments)
        return self._told(int(result.ret), result.stdout.str(), result.stderr.str())

    def _told(self, status: int, out: str, err: str) -> Run:
        found = self.report.read_bytes() if self.report.is_file() else None
        verdict = msgspec.json.decode(found, type=Document).verdict if found else None
        return Run(status, out, err, verdict)


@pytest.fixture(autouse=True)
def _no_secret_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test asks for is no secret of the next one."""
    monkeypatch.setattr("pytest_artisan.release.secrets._revealed", set())


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project; nothing of the session around it reaches the sessions in it."""
    for name in list(os.environ):
        if name.startswith(_INHERITED):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # By default the gate security asks a service of the world outside; no test does.
    monkeypatch.setattr("pytest_artisan.gates.auditing.sources.OSV_DEV", "http://127.0.0.1:1")
    return Project(pytester)
