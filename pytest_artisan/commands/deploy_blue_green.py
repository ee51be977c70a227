"""`artisan deploy blue-green`: a version into the slot without traffic, all requests to it, and back where it does harm."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_artisan.commands import GO, INTERRUPTED, NO_GO, Commands
from pytest_artisan.commands.arguments import add_reasons
from pytest_artisan.commands.attestation import add_keys, policies_of
from pytest_artisan.commands.lasting import tell, terminated_like_interrupted
from pytest_artisan.release.environments import NAMES, get_config
from pytest_artisan.settings import SettingsError, artisan_of, project_root

if TYPE_CHECKING:
    from pytest_artisan.release.blue_green.deploying import Site


def add(commands: Commands) -> None:
    parser = commands.add_parser("blue-green", help="a version beside the one that runs; back where it does harm")
    parser.add_argument("environment", choices=NAMES)
    parser.add_argument("version", help="a release, such as v2.1.0 or hotfix-20261127-0100")
    parser.add_argument("--verdict", metavar="FILE", type=Path, help="the signed GO, which counts for one deployment")
    parser.add_argument(
        "--rollback", action="store_true", help="all requests to the version before, wherever it is now"
    )
    add_reasons(parser)
    add_keys(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from pytest_artisan.release.blue_green.deploying import Order, deploy, roll_back
    from pytest_artisan.release.blue_green.machine import FINAL, Phase
    from pytest_artisan.release.versions import check_version

    check_version(options.version)
    root = project_root(Path.cwd())
    site = _site(root, options)
    try:
        with terminated_like_interrupted():
            if options.rollback:
                state = roll_back(site, options.version)
            else:
                order = Order(options.version, options.verdict, options.hotfix, options.override, options.key)
                state = deploy(site, order)
    except KeyboardInterrupt:
        return _interrupted(root, options)
    if state.phase in FINAL:
        slot, build = state.live
        runs = f"{build.version or 'what ran there before'} in {slot} gets all requests"
        tell(f"{state.phase}: {runs}; {'; '.join(state.reasons)}")
    return GO if (state.phase != Phase.DONE) is options.rollback else NO_GO


def _interrupted(root: Path, options: argparse.Namespace) -> int:
    from pytest_artisan.release.blue_green.deploying import path_of
    from pytest_artisan.release.blue_green.machine import Deployment
    from pytest_artisan.release.deployments import load

    last = load(path_of(root, options.environment), Deployment)
    typed = f"artisan deploy blue-green {options.environment} {options.version} --rollback"
    tell("")
    tell(f"interrupted{f' at {last.phase}' if last else ''}; nothing was taken back")
    tell(f"  the same command goes on, {typed} goes back")
    return INTERRUPTED


def _site(root: Path, options: argparse.Namespace) -> Site:
    from pytest_artisan.release.blue_green.deploying import Site
    from pytest_artisan.release.blue_green.settings import blue_green_of
    from pytest_artisan.release.observing.prometheus import slot_source
    from pytest_artisan.release.slots.control import SlotCommands
    from pytest_artisan.release.traffic.choosing import router_of

    where = "pyproject.toml [tool.artisan]"
    rules = blue_green_of(artisan_of(root), where)
    environment = get_config(options.environment, root)
    router, slots = router_of(environment), environment.table.slots
    if router is None or slots is None:
        raise SettingsError(f"{where} environments.{environment.env}: blue/green needs its tables traffic and slots")

    return Site(
        root,
        environment,
        rules,
        router,
        SlotCommands(slots, root),
        lambda slot: slot_source(root, environment, slot, ratio=rules.limits.p95_ratio, queries=rules.queries),
        policies_of(root),
        options.clock,
        time.sleep,
        lambda line: tell(f"{options.clock():%H:%M:%S}  {line}"),
    )
