"""`artisan hotfix`: what can not wait for the train."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from pytest_artisan.commands import GO, NO_GO, Commands
from pytest_artisan.commands.release import add_order, is_refused, order_of, tell
from pytest_artisan.gates.base import checked_out
from pytest_artisan.git import commit_of
from pytest_artisan.policy import load_policy
from pytest_artisan.release import hotfix
from pytest_artisan.release.tagging import alone, make, rule
from pytest_artisan.release.versions import hotfix_version
from pytest_artisan.settings import SettingsError, one_line, project_root

_POLICY = "hotfix"


def add(commands: Commands) -> None:
    room = commands.add_parser("hotfix", help="what can not wait for the train")
    steps = room.add_subparsers(required=True, metavar="COMMAND")
    start = steps.add_parser("start", help="make the branch hotfix/NAME from main, and go there")
    start.add_argument("name", help="what it mends, such as login-loop")
    start.add_argument("--why", default="not said", metavar="TEXT", help="for the record")
    start.set_defaults(run=_start)
    finish = steps.add_parser("finish", help="release the branch as hotfix-YYYYMMDD-HHMM (UTC), and merge it into main")
    add_order(finish)
    finish.set_defaults(run=_finish)


def _start(options: argparse.Namespace) -> int:
    branch = hotfix.start(project_root(Path.cwd()), options.name, options.why, options.clock())
    print(f"{one_line(branch)}: from main. Commit the fix, then")
    print(
        f"  pytest --artisan-gates --artisan-policy={_POLICY} --artisan-purpose=release --artisan-report=verdict.json"
    )
    print("  artisan hotfix finish --verdict verdict.json --notes TEXT --no-model WHY --push")
    return GO


def _finish(options: argparse.Namespace) -> int:
    root, now = project_root(Path.cwd()), options.clock()
    branch = hotfix.branch_here(root)
    if not branch.startswith(hotfix.PREFIX):
        raise SettingsError(f"{branch} is no hotfix; go to a branch {hotfix.PREFIX}... first")
    order = order_of(options, hotfix_version(now))
    with alone(root):
        ruling = rule(root, order, _POLICY, partial(digest_at_main, root), now)
        if is_refused(ruling):
            return NO_GO
        if order.remote is not None:
            hotfix.check_main_at(root, order.remote)
        text = f"Merge branch '{branch}' as {order.version}\n\n{order.notes}\n"
        move = hotfix.merge(root, branch, ruling.release.commit, text, now)
        make(root, ruling.release, order.remote, move)
    tell(ruling.release, order.remote)
    print(one_line(f"main = {move.after}, with {branch} merged into it"))
    deploy = f"artisan deploy blue-green prod {order.version} --hotfix {order.version}"
    print(f"  {deploy} --verdict verdict.intoto.json")
    return GO


def digest_at_main(root: Path, environment: str, main: str = hotfix.MAIN) -> str:
    """The policy that a hotfix has to meet is main's: no branch makes itself a smaller one."""
    with checked_out(root, commit_of(root, main), "pyproject.toml") as folder:
        try:
            policy = load_policy(folder, None, environment, _POLICY)
        except SettingsError as error:
            raise SettingsError(f"main: {error}") from None
    if not policy.states_gates:
        # As in a session: it may stand where nobody reads it.
        raise SettingsError(f"main: {policy.source} states no required gates; name them in [tool.artisan]")
    return policy.digest
