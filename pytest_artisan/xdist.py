"""Gates under pytest-xdist: plans handed in by the workers, and items that run alone."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_artisan.context import context_of
from pytest_artisan.release.secrets import was_revealed
from pytest_artisan.verdict.evidence import Fault, Plan

_RUN = "artisan_run"
# What of a report may quote a secret.
_TEXTS = ("longrepr", "sections", "user_properties")
_PLAN = "artisan_plan"
_END = "artisan_end"
# Passed, failed, or given no test: of the rest, the controller would hear nothing else.
_SOUND_ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


class HandedIn(msgspec.Struct, frozen=True):
    """What a worker hands in before its first item runs."""

    policy: str
    plan: Plan


class Controller:
    """The controller's side: it never sees an item, so it reads the plan of its workers."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._plans: dict[str, HandedIn] = {}
        self._workers: list[str] = []
        self._ended_well: list[str] = []
        self.faults: list[tuple[Fault, str]] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="artisan-run-"))
        node.workerinput[_RUN] = str(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        worker = str(node.gateway.id)
        self._workers.append(worker)
        path = None if self._folder is None else self._folder / f"{worker}.json"
        if path is not None and path.exists():
            self._plans[worker] = msgspec.json.decode(path.read_bytes(), type=HandedIn)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        worker = str(node.gateway.id)
        if error is not None:
            self.faults.append((Fault.WORKER_LOST, f"worker {worker} was lost: {error}"))
        last_words: dict[str, Any] = getattr(node, "workeroutput", {})
        ended = last_words.get(_END)
        if error is None and ended in _SOUND_ENDS:
            self._ended_well.append(worker)
        elif error is None:
            self.faults.append(
                (Fault.WORKER_LOST, f"worker {worker} did not end well: {ended or 'it failed at its end'}")
            )
        # A worker on another host can not write into this one's folder; its plan comes with its last words.
        text = last_words.get(_PLAN)
        if text is not None:
            self._plans.setdefault(worker, msgspec.json.decode(text, type=HandedIn))

    def plan(self) -> Plan | None:
        """The plan that was handed in first; None before that."""
        return next((handed.plan for handed in self._plans.values()), None)

    def disagreements(self, policy_digest: str) -> list[tuple[Fault, str]]:
        """Workers without a plan, with another plan, or with another policy."""
        faults: list[tuple[Fault, str]] = []
        digests = {worker: handed.plan.digest for worker, handed in self._plans.items()}
        for worker in self._workers:
            handed = self._plans.get(worker)
            if handed is None:
                faults.append((Fault.PLAN_MISSING, f"worker {worker} handed in no plan"))
            elif handed.policy != policy_digest:
                faults.append((Fault.PLANS_DISAGREE, f"worker {worker} read another policy ({handed.policy[:12]})"))
            elif digests[worker] != next(iter(digests.values())):
                faults.append((Fault.PLANS_DISAGREE, f"worker {worker} collected another plan than the others"))
        return faults

    def close(self) -> list[tuple[Fault, str]]:
        """Remove the folder; what was left there tells of workers that failed after their last words to pytest-xdist."""
        if self._folder is None:
            return []
        left = [worker for worker in self._ended_well if (self._folder / f"{worker}.json").exists()]
        shutil.rmtree(self._folder, ignore_errors=True)
        return [(Fault.WORKER_LOST, f"worker {worker} failed after its session's end") for worker in left]


def hand_in(config: pytest.Config, policy_digest: str, plan: Plan) -> None:
    """A worker's plan, on its way before its first item runs."""
    text = msgspec.json.encode(HandedIn(policy_digest, plan)).decode()
    workerinput: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    folder = Path(workerinput[_RUN])
    if folder.is_dir():
        (folder / f"{workerinput['workerid']}.json").write_text(text, encoding="utf-8")
    else:
        config.workeroutput[_PLAN] = text  # type: ignore[attr-defined]


def overruled(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What pytest asks every plugin about because it failed, and what is no failure in its report."""
    return f"a plugin reported as passed what failed: {report.nodeid}" if report.passed else ""


class LastWords:
    """A worker's own exit status, as its other plugins leave it; none where one of them fails at the session's end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._status = -1
        self._overruled = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
        """Mask a secret that this worker alone has asked for, in texts: the rest is for pytest, which has to read it."""
        data = yield
        if data is None or not was_revealed():
            return data
        masker = context_of(self._config).masker
        return data | {key: masker.tree(data[key], keys=False) for key in _TEXTS if key in data}

    def pytest_exception_interact(self, report: pytest.TestReport) -> None:
        self._overruled = self._overruled or overruled(report)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        before = session.exitstatus
        result = yield
        # A worker's status is 1 for its failed items; one that a plugin raised is for what no item shows.
        self._status = session.exitstatus
        raised = session.exitstatus == pytest.ExitCode.TESTS_FAILED != before
        told = self._overruled or ("raised by a plugin" if raised else int(session.exitstatus))
        self._config.workeroutput[_END] = told  # type: ignore[attr-defined]
        return result

    def end(self, status: int, failure: str) -> int:
        """Take back the plan, as a sign that no plugin failed after those words."""
        if not failure and status == self._status:
            workerinput: dict[str, Any] = self._config.workerinput  # type: ignore[attr-defined]
            Path(workerinput[_RUN], f"{workerinput['workerid']}.json").unlink(missing_ok=True)
        return status


class Turnstile:
    """A readers/writer lock on two files: an exclusive item runs while no other item of any worker runs.

    Whoever wants in passes the gate, which an exclusive item keeps until it has left: so none waits forever. The
    kernel releases the locks of a worker that dies.
    """

    def __init__(self, config: pytest.Config) -> None:
        place = Path(config.workerinput[_RUN])  # type: ignore[attr-defined]
        folder = place if place.is_dir() else Path(tempfile.gettempdir())
        name = config.workerinput["testrunuid"]  # type: ignore[attr-defined]
        self._paths = [folder / f"{name}.{part}" for part in ("gate", "room")]
        self._gate, self._room = (os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in self._paths)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        alone = item.get_closest_marker("exclusive") is not None
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            if not alone:
                fcntl.flock(self._gate, fcntl.LOCK_UN)
            return (yield)
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def pytest_unconfigure(self) -> None:
        os.close(self._gate)
        os.close(self._room)
        for path in self._paths:
            path.unlink(missing_ok=True)
