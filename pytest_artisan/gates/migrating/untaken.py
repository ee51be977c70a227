"""What a revision would do elsewhere: calls that stand in what is run of it, and are not made here.

A revision is read by running it, so that what hangs on a variable, the time or the connection would stay unseen.
"""

from __future__ import annotations

import ast
import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from alembic.operations import BatchOperations, Operations

_CALLS = ("CALL", "CALL_KW", "CALL_FUNCTION_EX")
_OPERATIONS = frozenset(name for kind in (Operations, BatchOperations) for name in dir(kind) if name[0] != "_")
_OWN = Path(__file__).parent
_INSTALLED = {"site-packages", "dist-packages"}

# The line and the column after a call's last bracket, where no other call ends.
End = tuple[int | None, int | None]


class Untaken:
    """Of the revision at `path` every call counts, of other files of the project those of operations."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._root = Path.cwd()
        self._watched = {path: True}
        self._made: dict[CodeType, set[int]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """What is run meanwhile is seen; more than once is as good as one with all of it."""
        before = sys.gettrace()
        # Python 3.12 asks for opcodes only where a frame has wanted them before.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        if not self._is_watched(frame.f_code.co_filename):
            return None
        made = self._made.setdefault(frame.f_code, set())

        def note(frame: FrameType, event: str, argument: object) -> Any:
            made.add(frame.f_lasti)
            return note

        # Since Python 3.13 it asks for opcodes only where the frame has its function already.
        frame.f_trace, frame.f_trace_lines, frame.f_trace_opcodes = note, False, True
        return note

    def _is_watched(self, file: str) -> bool:
        """Code that was made of a text has no file, and this package may be the project."""
        if file not in self._watched:
            path = Path(file)
            self._watched[file] = path.is_absolute() and is_of(path, self._root) and _OWN not in path.parents
        return self._watched[file]

    def calls(self) -> list[tuple[str, int]]:
        """The file and the line of each."""
        files = {code.co_filename for code in self._made}
        wanted = {file: _calls_in(file, every=file == self._path) for file in files}
        found = {
            (code.co_filename, end[0] or 1)
            for code, made in self._made.items()
            for end in (_ends(code, None) - _ends(code, made)) & wanted[code.co_filename]
        }
        return sorted(found)


def is_of(path: Path, root: Path) -> bool:
    """Whether it is in a project; what is installed in an environment there is none of the project's."""
    path, root = path.resolve(), root.resolve()
    return path.is_relative_to(root) and _INSTALLED.isdisjoint(path.relative_to(root).parts)


def _ends(code: CodeType, only: set[int] | None) -> set[End]:
    """Where the calls of a function end: all, or those of `only` these instructions."""
    return {
        (one.positions.end_lineno, one.positions.end_col_offset)
        for one in dis.get_instructions(code)
        if one.opname in _CALLS and one.positions is not None and (only is None or one.offset in only)
    }


def _calls_in(file: str, *, every: bool) -> set[End]:
    """The calls of a file, or those of operations; not those that only say what went wrong."""
    tree = ast.parse(Path(file).read_bytes())
    told = {one for node in ast.walk(tree) if isinstance(node, ast.Raise | ast.Assert) for one in ast.walk(node)}
    return {
        (node.end_lineno, node.end_col_offset)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node not in told
        if every or getattr(node.func, "attr", "") in _OPERATIONS
    }
