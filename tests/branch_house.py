"""Repositories with a branch, and with a pull request as a server has it; nobody's settings reach them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_artisan.gates.changing.change import Base, Change, change_of
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.tables import PullRequest

GIT = shutil.which("git") or "git"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SETTINGS = [
    part
    for setting in (
        "user.name=a", "user.email=a@example.org", "protocol.file.allow=always", "maintenance.auto=false", "gc.auto=0",
        "advice.detachedHead=false",
    )
    for part in ("-c", setting)
]  # fmt: skip
TEMPLATE = "## Tests\n\n- [ ] All pass\n- [ ] `ruff` is *quiet*\n\n## More\n- [ ] Docs (optional)\n"
TICKED = "- [x] All pass\n- [X] `ruff` is *quiet*\n"


Files = Mapping[str, str | bytes | None]


class Repository:
    """A git repository that nobody's settings reach."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def new(cls, path: Path) -> Repository:
        path.mkdir()
        made = cls(path)
        made.git("init", "-q", "-b", "main", "--template=")
        return made

    def git(self, *arguments: str, hours: float = 0, stdin: bytes = b"") -> str:
        """What git prints, `hours` before now."""
        date = f"{int((NOW - timedelta(hours=hours)).timestamp())} +0000"
        own = {
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PATH": "/usr/bin:/bin",
        }
        command = [GIT, *SETTINGS, *arguments]
        done = subprocess.run(command, cwd=self.path, env=own, check=True, capture_output=True, input=stdin)
        return done.stdout.decode().strip()

    def changes(self, cases: Mapping[str, tuple[Files, Files]]) -> dict[str, Change]:
        """A change of a base of its own for each case, of which both add to main what they hold; made at once."""
        stream, refs = b"", [f"refs/heads/{number}-{side}" for number in range(len(cases)) for side in ("base", "head")]
        for number, sides in enumerate(cases.values()):
            for ref, before, files in zip(
                refs[2 * number :], ("refs/heads/main", refs[2 * number]), sides, strict=False
            ):
                stream += f"commit {ref}\ncommitter a <a@example.org> 1 +0000\ndata 0\nfrom {before}\n".encode()
                stream += b"".join(_imported(name, content) for name, content in files.items())
        self.git("fast-import", "--quiet", stdin=stream)
        ids = self.git("rev-parse", *refs).split()
        return {case: self.plain(*sides) for case, *sides in zip(cases, ids[::2], ids[1::2], strict=True)}

    def plain(self, base: str, head: str) -> Change:
        """The change of a branch that left its base at the base's tip, without asking how it is found."""
        return Change(self.path, Base(base, "main"), head, base, PullRequest(), PullRequest(), None, {}, NOW)

    def commit(self, files: Files, hours: float = 0) -> None:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if files:
            self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a change", hours=hours)

    def id(self, ref: str = "HEAD") -> str:
        return self.git("rev-parse", ref)

    def branch(self, name: str = "feature/search") -> None:
        self.git("checkout", "-q", "-b", name)

    def change(self, environment: Mapping[str, str] | None = None, *, at: datetime = NOW, **own: Any) -> Change:
        return change_of(Project(self.path), PullRequest(**own), environment or {}, at)

    def copy(self, path: Path) -> Repository:
        shutil.copytree(self.path, path, symlinks=True)
        return Repository(path)


def _imported(name: str, content: str | bytes | None) -> bytes:
    """A file as `git fast-import` takes it, in the commit above."""
    quoted = name.encode(errors="surrogateescape").replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    if content is None:
        return b'D "%b"\n' % quoted
    data = content if isinstance(content, bytes) else content.encode()
    return b'M 100644 inline "%b"\ndata %d\n%b\n' % (quoted, len(data), data)


def started_in(folder: Path) -> Repository:
    """One commit on main, a day old, with a file of 50 lines and a template."""
    made = Repository.new(folder / "repository")
    made.commit({"a.txt": "a\n" * 50, ".github/PULL_REQUEST_TEMPLATE.md": TEMPLATE}, hours=24)
    return made


def told(evidence: CheckEvidence) -> str:
    return "\n".join(finding.text for finding in evidence.findings)


def text(lines: int, word: str = "line") -> str:
    return "".join(f"{word} {number}\n" for number in range(lines))


def event(folder: Path, base: str, head: str, body: object = TICKED) -> dict[str, str]:
    path, ref = folder / "event.json", "feature/search"
    sides = {"head": {"ref": ref, "sha": head, "repo": None}, "base": {"ref": "main", "sha": base}}
    path.write_text(json.dumps({"action": "opened", "pull_request": {**sides, "body": body}}))
    return {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(path),
        "GITHUB_HEAD_REF": ref, "GITHUB_BASE_REF": "main", "GITHUB_REF": "refs/pull/7/merge",
    }  # fmt: skip


class Hosted:
    """A repository with a pull request, as a server has it: its branch, and the merge of it with a main that went on."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.origin, self.folder = repository, folder
        self.base, self.head = repository.id("main"), repository.id("feature/search")

    def checkout(self, *depth: str) -> Repository:
        """As actions/checkout does it."""
        made = Repository.new(self.folder / "work")
        made.git("remote", "add", "origin", f"file://{self.origin.path}")
        refs = ["+refs/heads/*:refs/remotes/origin/*"] if not depth else []
        made.git("fetch", "-q", "--no-tags", *depth, "origin", *refs, "+refs/pull/7/merge:refs/remotes/pull/7/merge")
        made.git("checkout", "-q", "--force", "refs/remotes/pull/7/merge")
        return made

    def clone(self, *options: str) -> Repository:
        self.origin.git("clone", "-q", *options, f"file://{self.origin.path}", str(self.folder / "clone"))
        return Repository(self.folder / "clone")

    def judged(self, body: object = TICKED) -> Change:
        """The change of the checkout that has been made."""
        return Repository(self.folder / "work").change(self.event(body))

    def event(self, body: object = TICKED) -> dict[str, str]:
        return event(self.folder, self.base, self.head, body)
