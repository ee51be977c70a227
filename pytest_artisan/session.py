"""Plan, evidence and verdict over one pytest session."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import pytest

from pytest_artisan.context import Context, context_of, reload_policy
from pytest_artisan.exits import Exits
from pytest_artisan.ledger import Journal, Ledger
from pytest_artisan.narrowing import narrowing
from pytest_artisan.planning import Planner
from pytest_artisan.release.worktree import moved, surroundings
from pytest_artisan.reports import github, terminal
from pytest_artisan.reports.publish import HTML, SIGNED, Renderer, publish, suffix_of
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.decide import Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import Evidence, Fault, Plan
from pytest_artisan.xdist import Controller, Turnstile, hand_in, overruled

if TYPE_CHECKING:
    from pytest_artisan.release.attestation.attesting import Attestor

wall_clock = time.time


class Collecting:
    """Every process that collects: plans the session."""

    def __init__(self, config: pytest.Config) -> None:
        self._context = context_of(config)
        self._planner = Planner(self._context, config)
        self._is_worker = hasattr(config, "workerinput")
        self.plan: Plan | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        self._planner.collected(session, items)
        return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._planner.skipped(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.plan = self._planner.finish(session.config, session.items)
        if self._is_worker:
            hand_in(session.config, self._context.policy.digest, self.plan)
            if any(item.get_closest_marker("exclusive") for item in session.items):
                session.config.pluginmanager.register(Turnstile(session.config))


class GateSession:
    """The process that judges: the only one, or the controller of pytest-xdist."""

    def __init__(
        self, config: pytest.Config, collecting: Collecting, reports: list[Path], attestor: Attestor | None
    ) -> None:
        self._config = config
        self._attestor = attestor
        self._context: Context = context_of(config)
        self._collecting = collecting
        self._controller = Controller()
        self._reports = reports
        self._ledger = Ledger(self._context.masker)
        self.pytest_runtest_logreport = self._ledger.add  # bound, not wrapped: it runs three times an item
        self._faults: list[tuple[Fault, str]] = []
        self._plan: Plan | None = None
        self._worktree = surroundings(self._context.policy.project.root)
        self._requirements = self._ask(Plan({}))
        self._pid = os.getpid()
        self._evidence = Evidence()
        self._verdict: Verdict | None = None
        self._told: Verdict | None = None
        self._stopped = ""
        self._broken = "the session ended before it began"
        self._started = wall_clock()
        self._signal_before: Any = None
        self._exits = Exits()
        self._keep_journal = config.option.artisan_journal is not None
        config.pluginmanager.register(self._controller, "artisan-xdist")

    def pytest_report_header(self) -> list[str]:
        purpose, policy, journal = self._context.purpose, self._context.policy, self._ledger.journal
        return [
            f"artisan: {purpose} run in {policy.environment.env}, {policy.source} sha256:{policy.digest[:12]}",
            *([one_line(f"artisan: not just its commit: {told}")] if (told := self._worktree.told) else []),
            f"artisan: journal {journal.path}" if journal else "artisan: no journal (no cache provider)",
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        self._open_journal()
        self._exits.guard()
        with suppress(ValueError):  # not in the main thread
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._signal_before = signal.signal(signal.SIGTERM, self._terminated)

    def _open_journal(self) -> None:
        path = self._config.option.artisan_journal
        cache = getattr(self._config, "cache", None)
        if path is None and cache is not None:
            path = cache.mkdir("artisan") / f"journal-{os.getpid()}-{time.time_ns()}.jsonl"
        if path is not None:
            try:
                self._ledger.journal = Journal(Path(path), self._context.masker)
            except OSError as error:
                raise pytest.UsageError(f"--artisan-journal={path}: {error.strerror}") from None
            self._ledger.journal.start(self._requirements)
            if self._ledger.journal.failure:
                raise pytest.UsageError(f"--artisan-journal={path}: {self._ledger.journal.failure}")

    def _terminated(self, number: int, frame: FrameType | None) -> NoReturn:
        self._faults.append((Fault.INTERRUPTED, "terminated by SIGTERM"))
        raise KeyboardInterrupt

    def _ask(self, plan: Plan) -> Requirements:
        context = self._context
        partial = narrowing(self._config, context.policy.project.root)
        asked = context.policy.requirements(context.purpose, context.selected, partial, plan.gates)
        return replace(asked, commit=self._worktree.text)

    def _fix(self, plan: Plan | None) -> None:
        """Fix the plan, and with it what is required, before the first item runs."""
        if self._plan is None and plan is not None:
            self._plan = plan
            self._requirements = self._ask(plan)
            if self._ledger.journal is not None:
                self._ledger.journal.plan(self._requirements, plan)

    def pytest_report_collectionfinish(self) -> str | None:
        self._fix(self._collecting.plan)
        if self._plan is None:
            return None
        count = sum(len(nodeids) for nodeids in self._plan.gates.values())
        return f"artisan: plan of {count} items for {', '.join(self._plan.gates)}, sha256:{self._plan.digest[:12]}"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        self._fix(self._collecting.plan)

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        self._fix(self._controller.plan())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            lines = [line.strip() for line in report.longreprtext.splitlines() if line.strip()]
            cause = lines[-1].removeprefix("E").strip() if lines else "no cause was given"
            self._faults.append((Fault.COLLECTION_ERROR, f"{report.nodeid or 'the session'}: {cause}"))

    def pytest_exception_interact(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if cause := overruled(report):
            self._faults.append((Fault.OVERRULED, cause))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._faults.append((Fault.INTERRUPTED, f"{excinfo.typename} {excinfo.value}".strip()))

    def pytest_internalerror(self, excrepr: object) -> None:
        lines = str(excrepr).strip().splitlines()
        self._faults.append((Fault.INTERNAL_ERROR, lines[-1] if lines else "of an unknown cause"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        try:
            # After all other plugins, which may fail, and may yet worsen the exit status.
            return (yield)
        except BaseException as error:
            self._faults.append((Fault.INTERNAL_ERROR, f"a plugin failed at the session's end: {error!r}"))
            raise
        finally:
            if os.getpid() == self._pid:  # and no forked child that a test let go on
                self._finish(session)

    def _finish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        before = session.exitstatus
        if before == pytest.ExitCode.OK:
            # Until there is a verdict that says otherwise.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        interrupted = next((text for fault, text in self._faults if fault is Fault.INTERRUPTED), "")
        self._stopped = str(session.shouldfail or session.shouldstop or interrupted)
        with self._failing_closed():
            self._judge(before)
        if self._verdict is not None and self._verdict.go:
            session.exitstatus = before

    def _judge(self, exit_status: int) -> None:
        self._fix(self._controller.plan())
        plan = self._plan or Plan({})
        faults = [*self._all_faults(), *self._vanished(plan)]
        self._evidence = self._ledger.evidence(plan, faults, self._stopped, exit_status)
        self._verdict = self._masked(decide(self._requirements, plan, self._evidence), plan)

    @contextmanager
    def _failing_closed(self) -> Generator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end in GO
            self._verdict, self._broken = None, f"the verdict could not be made: {error!r}"

    def _vanished(self, plan: Plan) -> list[tuple[Fault, str]]:
        """What the baseline holds, and a whole run did not measure: a deleted test must not look like a good one."""
        if self._context.baselines is None or self._requirements.partial:
            return []
        results = self._ledger.evidence(plan).results
        told = [replace(m, item=result.nodeid) for result in results for m in result.measurements]
        missing = self._context.baselines.missing(told)
        held = f"the baseline of {self._requirements.environment} holds"
        return [(Fault.BASELINE, f"{held} {entry.name} of {entry.item}, which was not measured") for entry in missing]

    def _masked(self, verdict: Verdict, plan: Plan) -> Verdict:
        tree, planned = self._context.masker.tree(msgspec.to_builtins(verdict)), msgspec.to_builtins(plan)
        if (masked := self._context.masker.tree(planned)) is not planned:
            # The plan as the journal has it: the same verdict has to follow from that.
            tree["plan_digest"] = msgspec.convert(masked, Plan).digest
        return msgspec.convert(tree, Verdict)

    def _all_faults(self) -> list[tuple[Fault, str]]:
        faults = [*self._faults, *self._controller.faults]
        faults += self._controller.disagreements(self._context.policy.digest)
        if self._plan is None:
            faults.append((Fault.PLAN_MISSING, "the session ended before its plan was fixed"))
        if getattr(self._config.option, "lf", False):
            faults.append((Fault.NARROWED, "--lf runs only the failures of the last run; run without it"))
        journal = self._ledger.journal
        if journal is not None and journal.failure:
            faults.append((Fault.REPORT, f"the journal {journal.path} could not be written: {journal.failure}"))
        if self._worktree.commit:
            cause = moved(self._worktree, surroundings(self._context.policy.project.root))
            faults += [(Fault.COMMIT_CHANGED, cause)] if cause else []
        if wall_clock() < self._started:
            faults.append((Fault.CLOCK, "the clock went backwards, so no time in this session can be trusted"))
        try:
            if reload_policy(self._config).digest != self._context.policy.digest:
                faults.append((Fault.POLICY_CHANGED, "pyproject.toml [tool.artisan] changed during the run"))
        except SettingsError as error:
            faults.append((Fault.POLICY_CHANGED, f"the policy changed during the run: {error}"))
        return faults

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._verdict is not None:
            terminal.write(terminalreporter, self._verdict)
            self._told = self._verdict

    def end(self, status: int, failure: str) -> int:
        """Publish and tell the verdict, after all that other plugins do; returns the exit status, 0 for GO alone."""
        if os.getpid() == self._pid:
            self._exits.release()
            if self._signal_before is not None:
                signal.signal(signal.SIGTERM, self._signal_before)
            with self._failing_closed():
                self._publish(status, failure)
            self._close_journal()
            self._tell()
        return status if self._verdict is not None and self._verdict.go else status or pytest.ExitCode.TESTS_FAILED

    def _publish(self, status: int, failure: str) -> None:
        """Write the reports of what the session came to: others may have failed it since the verdict was made."""
        late = self._controller.close()
        if failure:
            late.append((Fault.INTERNAL_ERROR, f"a plugin failed at the session's end: {failure}"))
        self._faults += [fault for fault in late if fault not in self._faults]
        if self._verdict is not None and self._verdict.go and (late or status):
            self._judge(status or pytest.ExitCode.TESTS_FAILED)
        reports = self._reports
        while self._verdict is not None and (failures := publish(self._verdict, reports, self._renderers())):
            # A report that can not be written is a fault of its own, which the others then have to tell.
            self._faults += [(Fault.REPORT, text) for text in failures.values()]
            reports = [path for path in reports if path not in failures]
            self._judge(status or pytest.ExitCode.TESTS_FAILED)
        if self._verdict is not None and self._ledger.journal is not None:
            self._ledger.journal.end(self._evidence)

    def _renderers(self) -> dict[str, Renderer]:
        """The reports that need to know more than the verdict."""
        others: dict[str, Renderer] = {}
        if self._attestor is not None:
            others[SIGNED] = partial(self._signed, self._attestor)
        pages = [path for path in self._reports if suffix_of(path) == HTML]
        if pages:
            from pytest_artisan.release.pages import page_of

            context, at = self._context, datetime.fromtimestamp(self._started, UTC)
            others[HTML] = page_of(context.policy.project.root, pages, at, context.masker)
        return others

    def _signed(self, attestor: Attestor, verdict: Verdict) -> str:
        from pytest_artisan.release.attestation.attesting import grounds_of

        told = self._requirements, self._plan or Plan({}), self._evidence
        grounds = grounds_of(*told, self._context.masker.tree)
        return attestor.attest(verdict, grounds, baseline=self._context.baselines is not None)

    def _tell(self) -> None:
        """The last line, after everything that others print."""
        reporter: pytest.TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._verdict is None:
            print(f"{self._broken}\nNO-GO", file=sys.stderr)
        elif self._told is self._verdict and reporter is not None:
            github.announce(self._verdict, reporter.write_line)
            terminal.write_last_line(reporter, self._verdict)
        else:
            # After an internal error, or without the terminal plugin, pytest prints no summary; or it is out of date.
            print(terminal.text_of(self._verdict), file=sys.stderr)
            github.announce(self._verdict, print)

    def _close_journal(self) -> None:
        journal = self._ledger.journal
        if journal is not None:
            journal.close()
            if self._verdict is not None and not self._keep_journal:
                journal.path.unlink(missing_ok=True)
