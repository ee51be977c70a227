"""`artisan deploy canary`: a flag's change for a few users, then for more, and back by itself where it does harm."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_artisan.commands import GO, INTERRUPTED, NO_GO, Commands
from pytest_artisan.commands.arguments import add_reasons, percent
from pytest_artisan.commands.attestation import add_keys, policies_of
from pytest_artisan.commands.lasting import tell, terminated_like_interrupted
from pytest_artisan.release.environments import NAMES, Environment, get_config
from pytest_artisan.settings import SettingsError, artisan_of, project_root, unknown_key

if TYPE_CHECKING:  # what is imported where it runs is imported with SQLite
    from pytest_artisan.release.attestation.attested import Attested
    from pytest_artisan.release.canary.beginning import Asked
    from pytest_artisan.release.canary.reach import Before, Reach
    from pytest_artisan.release.canary.running import Runner
    from pytest_artisan.release.canary.runs import Run
    from pytest_artisan.release.canary.settings import Canary
    from pytest_artisan.release.observing import Source


def add(commands: Commands) -> None:
    canary = commands.add_parser(
        "canary", help="a flag's change for a few users, then for more; back where it does harm"
    )
    canary.add_argument("environment", choices=NAMES)
    canary.add_argument("flag")
    what = canary.add_mutually_exclusive_group(required=True)
    what.add_argument("percentage", nargs="?", type=percent, help="of users, such as 5 or 0.25: this stage alone")
    what.add_argument("--auto", action="store_true", help="all stages of the policy, one after the other")
    what.add_argument("--rollback", action="store_true", help="as it was before the canary, wherever that is now")
    what.add_argument("--status", action="store_true", help="what happened so far, and where it is now")
    canary.add_argument("--verdict", metavar="FILE", type=Path, help="the signed GO; each counts for one canary")
    add_reasons(canary)
    add_keys(canary)
    canary.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from pytest_artisan.release.canary.beginning import Asked
    from pytest_artisan.release.flags.definitions import flags_of

    root = project_root(Path.cwd())
    flags = flags_of(root)
    if options.flag not in flags:
        raise unknown_key(options.flag, flags, "the list of flags")
    asked = Asked(root, options.environment, options.flag, options.percentage)
    if options.status:
        return _status(asked)
    try:
        with terminated_like_interrupted():
            return _roll_back(asked, options) if options.rollback else _deploy(asked, options)
    except KeyboardInterrupt:
        tell(f"interrupted: the same command goes on where it was; {asked.typed} --rollback takes the change back")
        return INTERRUPTED


def _deploy(asked: Asked, options: argparse.Namespace) -> int:
    from pytest_artisan.release.canary.beginning import begin, going_on
    from pytest_artisan.release.canary.machine import Phase
    from pytest_artisan.release.deployments import alone
    from pytest_artisan.release.record import who
    from pytest_artisan.release.traffic.choosing import check_shares

    environment = get_config(asked.environment, asked.root)
    table = _table(asked.root)
    source, admit = partial(_source, asked, environment, table), partial(_admit, asked, options)
    with alone(asked.root, asked.environment, f"canary {asked.flag}", who(asked.root), options.clock()):
        reach = _reach(asked, environment, options)
        run = going_on(asked)
        if run:
            tell(f"{run.line}; it goes on")
        else:
            stages = [stage.percent for stage in table.stages] if asked.percent is None else [asked.percent]
            check_shares(environment, stages)
            run = begin(asked, table, reach, source, admit, options.clock())
            tell(run.timeline[0].line)
        run = _finished(asked, _runner(asked, run, reach, source, options))
    return GO if run.state.phase is Phase.DONE else NO_GO


def _roll_back(asked: Asked, options: argparse.Namespace) -> int:
    from pytest_artisan.release.canary.machine import Back
    from pytest_artisan.release.canary.settings import Canary
    from pytest_artisan.release.deployments import Busy, alone
    from pytest_artisan.release.record import who

    environment = get_config(asked.environment, asked.root)
    # Nobody is asked for numbers on the way back, so a policy that can not be read does not bar it.
    reach, source = _reach(asked, environment, options), partial(_source, asked, environment, Canary())
    try:
        with alone(asked.root, asked.environment, f"canary {asked.flag} --rollback", who(asked.root), options.clock()):
            runner = _runner(asked, _to_take_back(asked, reach), reach, source, options)
            runner.happened(Back("--rollback"))
            _finished(asked, runner)
    except Busy as busy:
        _recall(asked, reach)
        tell(str(busy))
    return GO


def _recall(asked: Asked, reach: Reach) -> None:
    """Take it back at once; whoever watches the canary sees that at the next look, and ends it."""
    from pytest_artisan.release.canary.machine import Phase
    from pytest_artisan.release.canary.runs import call_back

    if asked.kept().state.phase is Phase.BACK:
        # Whatever is deployed now, it is no longer this one.
        tell(asked.kept().line)
        return
    call_back(asked.path)
    run = _to_take_back(asked, reach)
    tell(reach.take_back(run.before, run.given) or f"{asked.flag} is {run.before.flag} of users, as before")


def _to_take_back(asked: Asked, reach: Reach) -> Run:
    from msgspec.structs import replace

    from pytest_artisan.release.canary.machine import Phase

    run = asked.kept()
    if run.state.phase is not Phase.DONE:
        return run
    ours = reach.still_ours(run.before, run.percent)
    if ours != run.before:
        tell("the router stays as it is, as somebody else has set it since")
    return replace(run, before=ours)


def _status(asked: Asked) -> int:
    run = asked.kept()
    for moment in run.timeline:
        tell(moment.line)
    tell(run.line)
    return GO


def _runner(
    asked: Asked, run: Run, reach: Reach, source: Callable[[Before], Source], options: argparse.Namespace
) -> Runner:
    from pytest_artisan.release.canary.running import Runner

    return Runner(run, asked.path, reach, source, clock=options.clock, wait=time.sleep, tell=tell)


def _finished(asked: Asked, runner: Runner) -> Run:
    """Where it ends, which is told and on the record."""
    from pytest_artisan.release.canary.runs import put_on_record

    run = runner.finish()
    put_on_record(asked.root, run)
    tell(run.line)
    return run


def _reach(asked: Asked, environment: Environment, options: argparse.Namespace) -> Reach:
    from pytest_artisan.release.canary.reach import Reach
    from pytest_artisan.release.traffic.choosing import router_of

    return Reach(asked.root, asked.environment, asked.flag, router_of(environment), options.clock)


def _table(root: Path) -> Canary:
    from pytest_artisan.release.canary.settings import canary_of

    return canary_of(artisan_of(root), "pyproject.toml [tool.artisan]")


def _source(asked: Asked, environment: Environment, table: Canary, before: Before) -> Source:
    """Those who get the change: who are told the opposite of what was last set for all."""
    from pytest_artisan.release.observing.prometheus import flag_source

    ratio, on = table.limits.p95_ratio, not before.base
    return flag_source(asked.root, environment, asked.flag, on=on, ratio=ratio, queries=table.queries)


def _admit(asked: Asked, options: argparse.Namespace, keep: Callable[[Attested], None]) -> None:
    from pytest_artisan.release.admission import admit
    from pytest_artisan.release.attestation.attested import Wanted

    if options.verdict is None:
        raise SettingsError("--verdict FILE is missing: a canary begins with a signed GO")
    admit(
        asked.root,
        Wanted(environment=asked.environment, stage=asked.percent),
        options.verdict,
        options.clock(),
        policies_of(asked.root),
        hotfix=options.hotfix,
        override=options.override,
        keys=options.key,
        keep=keep,
    )
