"""`artisan load-smoke`: the gate of that name, outside of a session."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from pytest_artisan.commands import GO, NO_GO, Commands, arguments
from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.policy import load_policy
from pytest_artisan.release import baselines
from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.release.environments import NAMES
from pytest_artisan.settings import SettingsError, convert, project_root
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State


def add(commands: Commands) -> None:
    load = commands.add_parser("load-smoke", help="p95 and errors at a fixed rate of requests, as the gate has it")
    load.add_argument("--rps", type=float, help="requests a second; default for all of these: the policy's")
    load.add_argument("--duration", type=arguments.duration, help="seconds, or such as 2min")
    load.add_argument("--p95-threshold", type=float, metavar="MS", help="the highest p95 in milliseconds")
    load.add_argument("--locustfile", help="what is sent, a path below the project's root")
    load.add_argument("--url", help="a service; without a locustfile in the policy or here, the address to GET")
    load.add_argument("--env", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    load.add_argument("--regression", action="store_true", help="compare with the environment's baseline")
    load.add_argument("--format", choices=("text", "json"), default="text")
    load.set_defaults(run=_load_smoke)


def _load_smoke(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.loading import command
    from pytest_artisan.gates.loading.evidence import NotAllowed

    for complaint in url_complaints("--url", options.url, may_ask=True) if options.url else ():
        raise SettingsError(complaint)
    policy = load_policy(project_root(Path.cwd()), environment=options.env)
    given = {"rps": options.rps, "duration": options.duration, "p95_ms": options.p95_threshold}
    table = {**msgspec.to_builtins(policy.tables["load_smoke"]), **{k: v for k, v in given.items() if v is not None}}
    if options.url or options.locustfile:
        # An address is what to GET, unless it is said what else is to be sent there.
        table["locustfile"] = options.locustfile
    limits = convert(table, LoadSmoke, "artisan load-smoke")
    environment = policy.environment
    if limits.locustfile is not None and not environment.allow_writes:
        raise SettingsError(f"{environment.env}: a locustfile may write, and allow_writes is false")
    recorded = baselines.load(policy.project.root, environment.env) if options.regression else None
    try:
        state = command.load_smoke(policy.project, limits, options.url, recorded, options.format)
    except NotAllowed as error:
        raise SettingsError(str(error)) from None
    except NoEvidence as error:
        command.no_evidence(error, options.format)
        return NO_GO
    return GO if state is State.GO else NO_GO
