"""git as an operator runs it: one command after the other, with an argument list, and nothing of this environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_artisan import tools
from pytest_artisan.verdict.evidence import NoEvidence

_GIT_S = 60.0


def git(root: Path, *arguments: str, extra: Mapping[str, str] | None = None, stdin: str = "") -> tools.Answer:
    """What git says in `root`, whatever its status; `extra` are variables for it. Raises NoEvidence where it can not run."""
    return tools.run("git", list(arguments), cwd=root, timeout_s=_GIT_S, extra=extra, stdin=stdin)


def done(root: Path, *arguments: str, extra: Mapping[str, str] | None = None, stdin: str = "") -> tools.Answer:
    """The same for a command that has to succeed. Raises NoEvidence with git's own words."""
    answer = git(root, *arguments, extra=extra, stdin=stdin)
    if answer.status != 0:
        raise NoEvidence(f"git {' '.join(arguments[:2])} failed: {answer.stderr.strip() or answer.status}")
    return answer


def told(root: Path, option: str) -> str:
    """What `git rev-parse` answers to an option, such as "--show-toplevel". Raises NoEvidence."""
    return done(root, "rev-parse", option).stdout.rstrip("\n")


def commit_of(root: Path, ref: str) -> str:
    """The id of the commit that `ref` names. Raises NoEvidence."""
    answer = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if answer.status != 0:
        raise NoEvidence(f"git knows no commit {ref!r} here; a shallow clone has to fetch it (git fetch origin {ref})")
    return answer.stdout.strip()
