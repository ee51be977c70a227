"""`artisan flags`: what is on, for whom, and who has changed it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pytest_artisan.commands import GO, Commands
from pytest_artisan.release.environments import NAMES
from pytest_artisan.settings import one_line, unknown_key

if TYPE_CHECKING:
    from pytest_artisan.release.flags import FeatureFlagManager


def add(commands: Commands) -> None:
    flags = commands.add_parser("flags", help="feature flags: what is on, for whom, and who has changed it")
    actions = flags.add_subparsers(required=True, metavar="COMMAND")
    everything = actions.add_parser("list", help="all flags")
    everything.set_defaults(run=_list)
    enable = actions.add_parser("enable", help="on for all, or for some users alone")
    enable.add_argument("flag")
    enable.add_argument("--rollout", metavar="PERCENT", help="on for that many users, such as 5 or 0.25; default: all")
    disable = actions.add_parser("disable", help="off for all, at once")
    disable.add_argument("flag")
    rollout = actions.add_parser("rollout", help="move some users to the other side of what was last set for all")
    rollout.add_argument("flag")
    rollout.add_argument("percent", metavar="PERCENT", help="of users, such as 5 or 0.25")
    for changing, action in ((enable, "enable"), (disable, "disable"), (rollout, "rollout")):
        changing.add_argument("--why", required=True, metavar="TEXT", help="for the record")
        changing.set_defaults(run=_change, action=action)
    history = actions.add_parser("history", help="every change: who, when, from, to and why")
    history.add_argument("flag", nargs="?", help="default: all flags")
    history.set_defaults(run=_history)
    explain = actions.add_parser("explain", help="what a flag says to a user, and why")
    explain.add_argument("flag")
    explain.add_argument("--user", metavar="ID", help="default: nobody in particular")
    explain.set_defaults(run=_explain)
    for command in actions.choices.values():
        command.add_argument("--env", choices=NAMES, help="default: ARTISAN_ENV, else dev")


def _manager(options: argparse.Namespace) -> FeatureFlagManager:
    from pytest_artisan.release.flags import FeatureFlagManager  # and with it SQLite, which few commands need

    return FeatureFlagManager(options.env, clock=options.clock)


def _list(options: argparse.Namespace) -> int:
    manager = _manager(options)
    print(
        one_line(f"{manager.environment}: {manager.store.path}{'' if manager.store.exists() else ' (no change yet)'}")
    )
    width = max(map(len, manager.flags))
    for name, flag in manager.flags.items():
        print(one_line(f"{name:{width}}  {manager.state(name)!s:13}  {flag.about}"))
    return GO


def _change(options: argparse.Namespace) -> int:
    """Change a flag, having shown first for whom."""
    from pytest_artisan.release.flags.states import shift
    from pytest_artisan.release.flags.steps import disabling, rolling_out

    manager = _manager(options)
    name = options.flag
    before = manager.state(name)
    if options.action == "enable":
        step = manager.enabling(name, options.rollout)
    else:
        step = disabling if options.action == "disable" else rolling_out(options.percent)
    after = step(before)
    print(f"{name} in {manager.environment}: {before} of users; after this {after}: {shift(before, after)}", flush=True)
    change = manager.change(name, step, why=options.why, shown=before)
    print(f"change {change.number} by {change.who}")
    return GO


def _history(options: argparse.Namespace) -> int:
    manager = _manager(options)
    changes = manager.store.history()
    if options.flag is not None:
        if options.flag not in manager.flags.keys() | {change.flag for change in changes}:
            raise unknown_key(options.flag, manager.flags, "the list of flags")
        changes = [change for change in changes if change.flag == options.flag]
    for change in changes:
        moved = f"{change.before} -> {change.after}"
        print(
            one_line(
                f"{change.number}  {change.at:%Y-%m-%d %H:%M:%SZ}  {change.flag}  {moved}  {change.who}: {change.why}"
            )
        )
    if not changes:
        print(f"nobody has changed {options.flag or 'a flag'} in {manager.environment}")
    return GO


def _explain(options: argparse.Namespace) -> int:
    manager = _manager(options)
    decision = manager.explain(options.flag, options.user)
    asked = f"user {options.user}" if options.user else "no user"
    print(f"{options.flag} in {manager.environment}: {decision.state} of users")
    print(one_line(f"{asked}: {'on' if decision.on else 'off'}; {decision.why}"))
    return GO
