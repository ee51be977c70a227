"""Flags as an application asks for them, and as an operator sets them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pytest_artisan.files import OWN_FOLDER
from pytest_artisan.release import record
from pytest_artisan.release.environments import get_config
from pytest_artisan.release.flags.bucketing import User
from pytest_artisan.release.flags.definitions import flags_of
from pytest_artisan.release.flags.rules import Decision, Rule
from pytest_artisan.release.flags.states import State
from pytest_artisan.release.flags.steps import Step, disabling, enabling, rolling_out
from pytest_artisan.release.flags.store import Change, Store
from pytest_artisan.settings import SettingsError, one_line, project_root, unknown_key

_LOG = logging.getLogger(__name__)
# Seconds after which an evaluation looks whether somebody has changed a flag.
FRESH_S = 1.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FeatureFlagManager:
    """The flags of an environment (default: ARTISAN_ENV, else dev) of the project that `root` (default: here) is in.

    Evaluations read a snapshot in memory; once in a second one of them looks whether the store has changed. A store that
    can not be read raises SettingsError here. Later the last snapshot stays in use until it can be read again: the log
    says so, and `fault`, which is None otherwise. `ticks` are seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        environment: str | None = None,
        root: Path | None = None,
        *,
        clock: Callable[[], datetime] = _utc_now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = project_root(root or Path.cwd())
        config = get_config(environment, self.root)
        self.environment = config.env
        self.flags = flags_of(self.root)
        self.store = Store(self.root / (config.table.flags or f"{OWN_FOLDER}/flags-{config.env}.db"))
        self.fault: str | None = None
        self._clock = clock
        self._ticks = ticks
        self._seen = False
        self.store.check()
        self._load()

    def is_enabled(self, flag: str, user_id: User | None = None) -> bool:
        """Whether the flag is on for the user; without one (None, or empty) it is never a matter of chance.

        Raises SettingsError for a flag that does not exist.
        """
        return self._rule(flag).value(user_id)

    def explain(self, flag: str, user_id: User | None = None) -> Decision:
        """The same with its reason."""
        return self._rule(flag).decide(user_id)

    def state(self, flag: str) -> State:
        """What the flag is set to."""
        return self._rule(flag).state

    def rollouts(self) -> Mapping[str, State]:
        """The flags of which a rollout has moved users, be it all of them; none while that can not be read (`fault`)."""
        self._look()
        return {} if self.fault else self._rollouts

    def enable_flag(self, flag: str, rollout: str | float | None = None, *, why: str, who: str | None = None) -> Change:
        """On for all, or for `rollout` per cent of users alone. Raises SettingsError, as all changes do.

        `who` is by default the user of git, or of the operating system.
        """
        return self.change(flag, self.enabling(flag, rollout), why=why, who=who)

    def disable_flag(self, flag: str, *, why: str, who: str | None = None) -> Change:
        """Off for all."""
        return self.change(flag, disabling, why=why, who=who)

    def set_rollout_percentage(self, flag: str, percentage: str | float, *, why: str, who: str | None = None) -> Change:
        """Move that many users to the other side of what was last set for all."""
        return self.change(flag, rolling_out(percentage), why=why, who=who)

    def enabling(self, flag: str, rollout: str | float | None) -> Step:
        return enabling(flag, self._rule(flag).flag, self.environment, rollout)

    def change(self, flag: str, step: Step, *, why: str, who: str | None = None, shown: State | None = None) -> Change:
        """Set the flag and put it on the record; refused where it is no longer as it was `shown` to somebody."""
        default = State(self._rule(flag).flag.default_in(self.environment))
        who, why = (one_line(text).strip() for text in (who or record.who(self.root), why))
        if not why or not who:
            raise SettingsError(f"{flag}: a change needs a reason, and somebody who has it; say why")

        def from_last(last: State | None) -> tuple[State, State]:
            before = last or default
            if shown not in (None, before):
                raise SettingsError(f"{flag}: somebody has changed it meanwhile: it is {before} of users; look again")
            return before, step(before)

        change = self.store.change(flag, from_last, who=who, why=why, at=self._clock())
        self._refresh()
        # Who changes a flag and then asks the function below is told at once.
        if default_manager.cache_info().currsize and default_manager().store.path == self.store.path:
            default_manager()._refresh()
        return change

    def _rule(self, flag: str) -> Rule:
        self._look()
        rule = self._rules.get(flag)
        if rule is None:
            raise unknown_key(flag, self.flags, "the list of flags")
        return rule

    def _look(self) -> None:
        if self._ticks() >= self._due:
            self._refresh()

    def _refresh(self) -> None:
        """Load what the store says now; where it can not be read, all stays as it was."""
        try:
            self._load()
        except SettingsError as error:
            if self.fault is None:
                _LOG.error("flags of %s stay as they were: %s", self.environment, error)
            self.fault = str(error)

    def _load(self) -> None:
        # First, so that no other thread comes here meanwhile.
        self._due = self._ticks() + FRESH_S
        found = self.store.exists()
        if self._seen and not found:
            raise SettingsError(f"{self.store.path}: the store of flags is gone")
        states = self.store.states() if found else {}
        self._rules: Mapping[str, Rule] = {
            name: Rule(name, flag, states.get(name) or State(flag.default_in(self.environment)), name in states)
            for name, flag in self.flags.items()
        }
        self._rollouts = {name: rule.state for name, rule in self._rules.items() if rule.state.moved}
        self._seen = found
        self.fault = None


@cache
def default_manager() -> FeatureFlagManager:
    """The manager behind `is_enabled`: of ARTISAN_ENV (else dev), and of the project that the first call is in.

    Kept as long as this process, wherever it goes later; `default_manager.cache_clear()` is for tests.
    """
    return FeatureFlagManager()


def is_enabled(flag: str, user_id: User | None = None) -> bool:
    """Whether the flag is on for the user; see `default_manager` for where.

    The first call opens the store, and raises SettingsError where it can not be read; see FeatureFlagManager.
    """
    return default_manager().is_enabled(flag, user_id)
