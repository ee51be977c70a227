"""How many lines a change adds and deletes, by nobody's settings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pytest_artisan.gates.changing.change import Change
from pytest_artisan.git import done, told
from pytest_artisan.tools import Answer

_GENERATED = "linguist-generated"
# Written by tools, and read by the gate security.
_LOCK_FILES = frozenset({
    "uv.lock", "poetry.lock", "pdm.lock", "pixi.lock", "Pipfile.lock", "pylock.toml", "conda-lock.yml",
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "deno.lock",
    "Cargo.lock", "Gemfile.lock", "composer.lock", "go.sum", "flake.lock",
})  # fmt: skip
_SUBMODULE = "160000"


class Row(NamedTuple):
    """One file of a change; `lines` is None where it is no text, and `old` its name before."""

    old: str
    path: str
    lines: int | None


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines that count, the lines of every file that is left out, and the files of which lines say little."""

    counted: int
    left_out: Mapping[str, int]
    binary: tuple[str, ...]
    submodules: tuple[str, ...]


def lines_of(change: Change) -> Lines:
    """What the branch changes since it left its base. Raises NoEvidence."""
    with _bare(change.root) as ask:
        told_apart = ask("diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", change.fork, change.head).stdout
        renamed = ask("diff-tree", "-r", "-z", "--find-renames", "--numstat", change.fork, change.head).stdout
        plain = list(_rows(told_apart))
        ask("read-tree", change.base.commit)
        left_out = _left_out(ask, [row.path for row in plain])
    lines = {row.path: row.lines for row in plain}
    rows = [fair for row in _rows(renamed) for fair in _fair(row, left_out, lines)]
    return Lines(
        counted=sum(row.lines or 0 for row in rows if row.path not in left_out),
        left_out={row.path: row.lines or 0 for row in rows if row.path in left_out},
        binary=tuple(row.path for row in rows if row.lines is None and row.path not in left_out),
        submodules=tuple(_submodules(told_apart)),
    )


@contextmanager
def _bare(root: Path) -> Iterator[Callable[..., Answer]]:
    """git over the objects of this repository, and nothing else of it.

    Neither settings nor attributes, of the change, the repository or the machine, have a word in what is a text, what
    is shown as equal, and which program compares.
    """
    objects = root.resolve() / done(root, "rev-parse", "--git-path", "objects").stdout.rstrip("\n")
    with tempfile.TemporaryDirectory(prefix="artisan-diff-") as name:
        clean = {"HOME": name, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "GIT_DIR": f"{name}/git"}
        form = told(root, "--show-object-format")
        done(Path(name), "init", "--quiet", "--bare", "--template=", f"--object-format={form}", extra=clean)
        yield partial(done, Path(name), extra={**clean, "GIT_OBJECT_DIRECTORY": str(objects)})


def _submodules(text: str) -> Iterator[str]:
    """The submodules that move, of git's raw format, which comes before the numbers."""
    tokens = iter(text.split("\0")[:-1])
    for token in tokens:
        if not token.startswith(":"):
            return
        path = next(tokens)
        if _SUBMODULE in token[1:].split(" ", 2)[:2]:
            yield path


def _rows(text: str) -> Iterator[Row]:
    """The rows of git's format of numbers; one without a name is followed by the two of a rename."""
    tokens = iter(text.split("\0")[:-1])
    for token in tokens:
        if token.startswith(":"):
            next(tokens)
            continue
        added, deleted, path = token.split("\t", 2)
        old, new = (path, path) if path else (next(tokens), next(tokens))
        yield Row(old, new, None if added == "-" else int(added) + int(deleted))


def _left_out(ask: Callable[..., Answer], paths: Sequence[str]) -> frozenset[str]:
    """Those that the base calls generated, and lock files of which it does not say that they are not."""
    asked = "".join(f"{path}\0" for path in paths)
    answered = ask("check-attr", "--cached", "--stdin", "-z", _GENERATED, stdin=asked).stdout.split("\0")
    found = dict(zip(answered[0::3], answered[2::3], strict=False))
    return frozenset(path for path in paths if _is_left_out(path, found.get(path, "")))


def _is_left_out(path: str, generated: str) -> bool:
    if generated in ("set", "true"):
        return True
    return generated == "unspecified" and os.path.basename(path) in _LOCK_FILES


def _fair(row: Row, left_out: frozenset[str], lines: Mapping[str, int | None]) -> list[Row]:
    """The row, or two where a rename brings into the light what was left out until now, or the other way round."""
    if (row.old in left_out) == (row.path in left_out):
        return [row]
    return [Row(path, path, lines[path]) for path in (row.old, row.path)]
