"""git as an operator runs it: one command after the other, with an argument list, and nothing of this environment."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pytest_artisan import tools
from pytest_artisan.verdict.evidence import NoEvidence

_GIT_S = 60.0
_PUSH_S = 600.0
# An object is what its id says: a ref of refs/replace, which a fetch may bring, would show other files in its place.
_TRUE = {"GIT_NO_REPLACE_OBJECTS": "1"}


def git(
    root: Path,
    *arguments: str,
    extra: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = _GIT_S,
) -> tools.Answer:
    """What git says in `root`, whatever its status; `extra` are variables for it. Raises NoEvidence where it can not run."""
    return tools.run(
        "git", list(arguments), cwd=root, timeout_s=timeout_s, extra={**_TRUE, **(extra or {})}, stdin=stdin
    )


def done(root: Path, *arguments: str, extra: Mapping[str, str] | None = None, stdin: str = "") -> tools.Answer:
    """The same for a command that has to succeed. Raises NoEvidence with git's own words."""
    answer = git(root, *arguments, extra=extra, stdin=stdin)
    if answer.status != 0:
        raise NoEvidence(f"git {' '.join(arguments[:2])} failed: {answer.stderr.strip() or answer.status}")
    return answer


def told(root: Path, option: str) -> str:
    """What `git rev-parse` answers to an option, such as "--show-toplevel". Raises NoEvidence."""
    return done(root, "rev-parse", option).stdout.rstrip("\n")


def in_repository(root: Path) -> bool:
    """Whether `root` is in one, without asking git, which may be missing."""
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def is_shallow(root: Path) -> bool:
    """Whether the clone is cut off somewhere, and so does not know all of its history. Raises NoEvidence."""
    return told(root, "--is-shallow-repository") == "true"


def file_at(root: Path, commit: str, name: str) -> str | None:
    """The text of a file below `root` as a commit has it; None where it has none. Raises NoEvidence."""
    answer = git(root, "cat-file", "blob", f"{commit}:./{name}")
    if answer.status == 0:
        return answer.stdout
    if done(root, "ls-tree", commit, "--", name).stdout:
        raise NoEvidence(f"git can not read {name} of {commit}: {answer.stderr.strip()}")
    return None


def at_remote(root: Path, *arguments: str) -> str:
    """What a command says that talks to a remote; nothing can ask for a password. Raises NoEvidence."""
    agent = {name: os.environ[name] for name in ("SSH_AUTH_SOCK",) if name in os.environ}
    answer = git(root, *arguments, extra={"GIT_TERMINAL_PROMPT": "0", **agent}, timeout_s=_PUSH_S)
    if answer.status != 0:
        refused = re.findall(r"^!\t[^\t]*:([^\t]+\t.*)$", answer.stdout, re.MULTILINE)  # as push says with --porcelain
        words = "; ".join(filter(None, [*(line.replace("\t", " ") for line in refused), answer.stderr.strip()]))
        raise NoEvidence(f"git {arguments[0]} failed: {shown(words) or answer.status}")
    return answer.stdout


def shown(text: str) -> str:
    """The text without the password that an address in it may hold."""
    return re.sub(r"//[^/\s]+@", "//***@", text)


@contextmanager
def to_its_end() -> Iterator[None]:
    """Ctrl-C waits for a command that would leave half a checkout behind, or a lock."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Ctrl-C is none of its business
        return
    came: list[int] = []
    # Not by a mask: of a process with threads, any other one would take the signal.
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def commit_of(root: Path, ref: str) -> str:
    """The id of the commit that `ref` names. Raises NoEvidence."""
    answer = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if answer.status != 0:
        raise NoEvidence(f"git knows no commit {ref!r} here; a shallow clone has to fetch it (git fetch origin {ref})")
    return answer.stdout.strip()
