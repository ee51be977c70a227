"""How many lines a change adds and deletes, by nobody's settings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pytest_artisan.gates.changing.change import Change
from pytest_artisan.git import done, told
from pytest_artisan.tools import Answer
from pytest_artisan.verdict.evidence import NoEvidence

_GENERATED = "linguist-generated"
# Written by tools, and read by the gate security.
_LOCK_FILES = frozenset({
    "uv.lock", "poetry.lock", "pdm.lock", "pixi.lock", "Pipfile.lock", "pylock.toml", "conda-lock.yml",
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "deno.lock",
    "Cargo.lock", "Gemfile.lock", "composer.lock", "go.sum", "flake.lock",
})  # fmt: skip
_SUBMODULE = "160000"
_DIFF = ("diff-tree", "-r", "-z", "--numstat")


class Row(NamedTuple):
    """One file of a change; `lines` is None where it is no text, and `old` its name before."""

    old: str
    path: str
    lines: int | None


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines that count, the lines of every file that is left out, and the files of which lines say little.

    `turned` are those that were texts until now: a byte makes them binary, and hides what else has changed.
    """

    counted: int
    left_out: Mapping[str, int]
    binary: tuple[str, ...]
    turned: tuple[str, ...]
    submodules: tuple[str, ...]


def lines_of(change: Change) -> Lines:
    """What the branch changes since it left its base. Raises NoEvidence."""
    fork, head = change.fork, change.head
    with _bare(change.root) as ask:
        answer = ask(*_DIFF, "--raw", "--find-renames", fork, head).stdout
        rows = _rows(answer)
        ask("read-tree", change.base.commit)
        left_out = _left_out(ask, sorted({name for row in rows for name in (row.old, row.path)}))
        if any((row.old in left_out) != (row.path in left_out) for row in rows):
            rows = list(_fair(rows, left_out, _rows(ask(*_DIFF, "--no-renames", fork, head).stdout)))
        binary = [row for row in rows if row.lines is None and row.path not in left_out]
        texts = _texts(ask, fork, [row.old for row in binary])
    return Lines(
        counted=sum(row.lines or 0 for row in rows if row.path not in left_out),
        left_out={row.path: row.lines or 0 for row in rows if row.path in left_out},
        binary=tuple(row.path for row in binary),
        turned=tuple(row.path for row in binary if row.old in texts),
        submodules=tuple(_submodules(answer)),
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
        path = _name(token, tokens)
        if _SUBMODULE in token[1:].split(" ", 2)[:2]:
            yield path


def _rows(text: str) -> list[Row]:
    """The rows of git's format of numbers; one without a name is followed by the two of a rename. Raises NoEvidence."""
    tokens, rows = iter(text.split("\0")[:-1]), list[Row]()
    for token in tokens:
        if token.startswith(":"):
            _name(token, tokens)
            continue
        added, deleted, path = token.split("\t", 2)
        old, new = (path, path) if path else (next(tokens), next(tokens))
        rows.append(Row(old, new, None if added == "-" else int(added) + int(deleted)))
    if len({row.path for row in rows}) < len(rows):
        raise NoEvidence("two files of the change have names that can not be told apart: they are not UTF-8")
    return rows


def _name(token: str, tokens: Iterator[str]) -> str:
    """The name behind a token of the raw format, the new one where there are two."""
    name = next(tokens)
    return next(tokens) if token.rpartition(" ")[2].startswith("R") else name


def _texts(ask: Callable[..., Answer], commit: str, paths: Sequence[str]) -> frozenset[str]:
    """Those of these files that are texts in a commit, and have lines."""
    if not paths:
        return frozenset()
    empty = ask("hash-object", "-t", "tree", "--stdin").stdout.strip()
    found = _rows(ask("--literal-pathspecs", *_DIFF, empty, commit, "--", *paths).stdout)
    return frozenset(row.path for row in found if row.lines)


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


def _fair(rows: Iterable[Row], left_out: Container[str], plain: Iterable[Row]) -> Iterator[Row]:
    """Two rows for one where a rename brings into the light what was left out until now, or the other way round."""
    lines = {row.path: row.lines for row in plain}
    for row in rows:
        if (row.old in left_out) == (row.path in left_out):
            yield row
        else:
            yield from (Row(path, path, lines[path]) for path in (row.old, row.path))
