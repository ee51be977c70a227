"""While a session runs, no quick way out of its process can look like a GO."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn


def _exit_worse(pid: int, leave: Callable[[int], NoReturn], status: int) -> NoReturn:
    """Leave without a verdict, and so never with 0; a forked child may."""
    leave(1 if status == 0 and os.getpid() == pid else status)


def _stay(pid: int, replace: Callable[..., NoReturn], *arguments: Any) -> NoReturn:
    """Become another program, which would answer with its own exit status: only a forked child may."""
    if os.getpid() == pid:
        raise RuntimeError(f"a session with gates can not become another program: {os.fsdecode(arguments[0])}")
    replace(*arguments)


class Exits:
    """The functions of `os` that end a process at once; the others of their families call these."""

    def __init__(self) -> None:
        names = ("_exit", "execv", "execve")
        self._before: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in names}

    def guard(self) -> None:
        pid = os.getpid()
        os._exit = partial(_exit_worse, pid, self._before["_exit"])
        os.execv = partial(_stay, pid, self._before["execv"])
        os.execve = partial(_stay, pid, self._before["execve"])

    def release(self) -> None:
        for name, function in self._before.items():
            setattr(os, name, function)
