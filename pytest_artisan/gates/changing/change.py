"""What a branch is compared with: its base, where it left it, and by whose limits."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_artisan.gates.changing.github import Request, queued_commit, request_of
from pytest_artisan.gates.gate import Project
from pytest_artisan.gates.tables import PullRequest
from pytest_artisan.git import commit_of, done, file_at, git, is_shallow
from pytest_artisan.release.environments import resolve
from pytest_artisan.settings import SettingsError, artisan_table, as_table, convert
from pytest_artisan.verdict.evidence import NoEvidence

_GATE = "pull_request"
_ORIGIN, _HERE = "refs/remotes/origin/", "refs/heads/"


@dataclass(frozen=True, slots=True)
class Base:
    """A commit, and what people call it."""

    commit: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """A branch at the commit `head`, which left its base at the commit `fork`.

    `limits` are those of the base, so that no change lets itself through; `own` are the change's.
    """

    root: Path
    base: Base
    head: str
    fork: str
    limits: PullRequest
    own: PullRequest
    request: Request | None
    environment: Mapping[str, str]
    now: datetime


def change_of(project: Project, own: PullRequest, environment: Mapping[str, str], now: datetime) -> Change:
    """What is checked out, as a change of its base; `environment` holds the variables. Raises NoEvidence."""
    root, request = project.root, request_of(environment)
    cut = _cut_off(root)
    base = _base_of(project, own.base, environment, request)
    head = _head(root, request)
    fork = _fork(root, base, head, cut, environment)
    return Change(root, base, head, fork, _limits(project, base), own, request, environment, now)


def why_inapplicable(project: Project, own: PullRequest, environment: Mapping[str, str]) -> str | None:
    """Why there is no change to judge, whatever the policy asks: on the trunk, and in a merge queue."""
    try:
        request = request_of(environment)
        if request is not None or environment.get("GITHUB_HEAD_REF"):
            return None
        queued = queued_commit(environment)
        if queued is not None and queued == commit_of(project.root, "HEAD"):
            return "in the merge queue, where each pull request has been judged"
        base = _base_of(project, own.base, environment, request)
        on_trunk = git(project.root, "merge-base", "--is-ancestor", "HEAD", base.commit).status == 0
    except NoEvidence:
        return None  # the check finds the same, and says so
    return f"on the trunk: every commit here is in {base.name}" if on_trunk else None


def branch_of(change: Change) -> str:
    """The name of the branch. Raises NoEvidence on a detached head of which nobody says the name."""
    if change.request is not None:
        return change.request.head.ref
    # Not --short, which writes more where a tag has the same name.
    checked_out = git(change.root, "symbolic-ref", "--quiet", "HEAD").stdout.rstrip("\n").removeprefix(_HERE)
    name = checked_out or change.environment.get("GITHUB_HEAD_REF")
    if not name:
        raise NoEvidence("the head is detached, so the branch has no name here: check it out, or set GITHUB_HEAD_REF")
    return name


def _head(root: Path, request: Request | None) -> str:
    """The tip of the branch: what is checked out, or the second parent of the merge that GitHub made of it."""
    checked_out_ = commit_of(root, "HEAD")
    if request is None or request.head.sha in (checked_out_, *_merged_into(root, request)[1:]):
        return request.head.sha if request else checked_out_
    tip = request.head.sha[:12]
    raise NoEvidence(
        f"{checked_out_[:12]} is checked out, which is neither the pull request's commit {tip} nor its merge"
    )


def _merged_into(root: Path, request: Request) -> tuple[str, ...]:
    """The two parents of GitHub's merge where that is checked out; a shallow clone knows them by name, too."""
    header, _, _ = done(root, "cat-file", "commit", "HEAD").stdout.partition("\n\n")
    parents = tuple(line[7:] for line in header.splitlines() if line.startswith("parent "))
    return parents if len(parents) == 2 and parents[1] == request.head.sha else ()


def _base_of(project: Project, key: str | None, environment: Mapping[str, str], request: Request | None) -> Base:
    if project.base is not None:
        return Base(project.base.commit, project.base.commit[:12])
    for ref in _bases(project.root, key, environment, request):
        found = git(project.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if found.status == 0:
            # What origin/HEAD stands for can be fetched, it can not.
            name = request.base.ref if request else done(project.root, "rev-parse", "--symbolic-full-name", ref).stdout
            return Base(found.stdout.strip(), name.strip().removeprefix("refs/remotes/").removeprefix(_HERE))
    wanted = _wanted(key, environment, request)
    if wanted is None:
        raise NoEvidence(
            "no main or master here: fetch it (fetch-depth: 0 of actions/checkout does it), or name the branch that this "
            "one goes to, base in [tool.artisan.pull_request]"
        )
    raise NoEvidence(f"there is no branch {wanted!r} here: {_remedy(project.root, wanted, environment)}")


def _bases(root: Path, key: str | None, environment: Mapping[str, str], request: Request | None) -> Iterator[str]:
    """Where the base may stand; GitHub's word counts before the table's, which the change may have written."""
    wanted = _wanted(key, environment, request)
    if request is not None:
        yield from _merged_into(root, request)[:1]
    if wanted is not None:
        yield from (
            (f"{_ORIGIN}{wanted}", f"{_HERE}{wanted}") if request is None else (f"{_ORIGIN}{wanted}", request.base.sha)
        )
    else:
        yield f"{_ORIGIN}HEAD"
        yield from (f"{place}{name}" for place in (_ORIGIN, _HERE) for name in ("main", "master"))


def _wanted(key: str | None, environment: Mapping[str, str], request: Request | None) -> str | None:
    """The name of the base, where anybody gives one."""
    return request.base.ref if request else environment.get("GITHUB_BASE_REF") or key


def _fork(root: Path, base: Base, head: str, cut: frozenset[str], environment: Mapping[str, str]) -> str:
    """The best merge base, of which no shallow clone may hide a better one."""
    met = git(root, "merge-base", base.commit, head)
    # A commit of either side whose parents are cut off hides where the sides meet.
    if met.status == 0 and cut.isdisjoint(
        done(root, "rev-list", f"{base.commit}...{head}").stdout.split() if cut else ()
    ):
        return met.stdout.strip()
    branch = "" if base.commit.startswith(base.name) else base.name.removeprefix("origin/")
    remedy = _remedy(root, branch, environment)
    raise NoEvidence(f"this clone does not show where the branch left {base.name}: {remedy}")


def _cut_off(root: Path) -> frozenset[str]:
    """The commits of a shallow clone whose parents are not there."""
    path = root / done(root, "rev-parse", "--git-path", "shallow").stdout.rstrip("\n")
    return frozenset(path.read_text(encoding="utf-8").split()) if path.exists() else frozenset()


def _remedy(root: Path, branch: str, environment: Mapping[str, str]) -> str:
    """What to type, and what GitHub Actions calls it."""
    fetch = "git fetch origin"
    if is_shallow(root):
        # No history is filled up but that of what is fetched.
        here = environment.get("GITHUB_REF") or git(root, "symbolic-ref", "--quiet", "HEAD").stdout.strip()
        fetch = f"git fetch --unshallow origin {shlex.quote(here) if here else ''}".rstrip()
    refs = shlex.quote(f"+{_HERE}{branch}:{_ORIGIN}{branch}") if branch else ""
    return f"{fetch} {refs}".rstrip() + " (fetch-depth: 0 of actions/checkout does it)"


def _limits(project: Project, base: Base) -> PullRequest:
    """The gate's table as the base has it, for the same environment."""
    where = f"pyproject.toml of {base.name} [tool.artisan]"
    text = file_at(project.root, base.commit, "pyproject.toml")
    try:
        raw = artisan_table(tomllib.loads(text or ""), where)
        environments = as_table(raw.get("environments", {}), where)
        limits = resolve(project.environment.env, environments, where).table.limits
        policies = as_table(raw.get("policies", {}), where)
        named = as_table(as_table(policies.get(project.policy, {}), where).get("limits", {}), where)
        stated = (raw.get(_GATE, {}), limits.get(_GATE, {}), named.get(_GATE, {}))
        table = {key: value for one in stated for key, value in as_table(one, where).items()}
        return convert(table, PullRequest, f"{where[:-1]}.{_GATE}]")
    except (SettingsError, tomllib.TOMLDecodeError) as error:
        raise NoEvidence(f"the limits of {base.name} can not be read: {error}") from None
