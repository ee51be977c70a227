"""pip-audit in a process of its own: a request in JSON comes by standard input, one answer in JSON goes to standard output.

It is run by its path, and so imports nothing of this project. Request: `releases`, pairs of name and version; `osv_url`, or
null for PyPI; `files` of requirements to collect from, "" for what is installed; `seconds` until it ends itself.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_CONNECTIONS = 8
_LONGEST = 300  # characters of a reason


def main() -> None:
    """Answer; a fault that is not about one release or file ends it, with the reason as the last line of its errors."""
    request = json.load(sys.stdin.buffer)
    answers_to, sys.stdout = sys.stdout, sys.stderr
    _end_after(request["seconds"])
    answer = {
        "answers": _ask(request["releases"], request["osv_url"], request["seconds"]),
        "collected": [_collect(file) for file in request["files"]],
    }
    json.dump(answer, answers_to)
    answers_to.flush()


def _end_after(seconds: float) -> None:
    def end() -> None:
        sys.stderr.write(f"\ngives no whole answer within {seconds:.3g} s\n")
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class _Unreadable(logging.Handler):
    """What pip-audit leaves out with a warning was not understood, and is no answer."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


def _ask(releases: Sequence[tuple[str, str]], osv_url: str | None, seconds: float) -> list[dict[str, Any]]:
    logging.getLogger("pip_audit._service").addHandler(_Unreadable(logging.WARNING))
    own = threading.local()  # a session of requests is for one thread

    def ask(release: tuple[str, str]) -> dict[str, Any]:
        answer: dict[str, Any] = {"name": release[0], "version": release[1]}
        try:
            if not hasattr(own, "service"):
                own.service = _service(osv_url, seconds)
            return answer | {"vulnerabilities": _known(own.service, *release)}
        except Exception as error:  # noqa: BLE001  # whatever it was, this release was not asked about
            return answer | {"why": _reason(error)}

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(pool.map(ask, releases))


def _service(osv_url: str | None, seconds: float) -> Any:
    """The service, with a cache below the current directory: one of somebody else's may be old."""
    from pip_audit._service import OsvService, PyPIService  # type: ignore[import-untyped]

    cache, timeout = Path.cwd() / "cache", max(int(seconds), 1)
    if osv_url is None:
        return PyPIService(cache, timeout)
    service = OsvService(cache, timeout, osv_url)
    service.session.max_redirects = 0
    service.session.hooks["response"].append(_refuse_pages)
    return service


def _refuse_pages(response: Any, **_: object) -> None:
    """pip-audit takes the first page for the whole answer."""
    if response.status_code == 200 and b'"next_page_token"' in response.content and response.json()["next_page_token"]:
        raise ValueError("its answer comes in pages, of which pip-audit reads the first one alone")


def _known(service: Any, name: str, version: str) -> list[dict[str, Any]]:
    """Raises whatever pip-audit does, and ValueError for what it skips."""
    from packaging.version import Version
    from pip_audit._service import ResolvedDependency

    dependency, results = service.query(ResolvedDependency(name, Version(version)))
    if dependency.is_skipped():
        raise ValueError(dependency.skip_reason)
    return [
        {
            "id": result.id,
            "aliases": sorted(result.aliases),
            "fix_versions": [str(fixed) for fixed in result.fix_versions],
            "description": result.description,
        }
        for result in results
    ]


def _collect(file: str) -> dict[str, Any]:
    from pip_audit._dependency_source import PipSource, RequirementSource  # type: ignore[import-untyped]

    source = RequirementSource([Path(file)], no_deps=True, disable_pip=True) if file else PipSource()
    try:
        found = [(d.name, str(d.version)) for d in source.collect() if not d.is_skipped()]
    except Exception as error:  # noqa: BLE001  # its parser raises what it likes
        return {"file": file, "why": _reason(error)}
    return {"file": file, "found": found}


def _reason(error: BaseException) -> str:
    """In one line; pip-audit's own errors say less than what they come from."""
    text = str(error) or str(error.__cause__ or "")
    return " ".join(f"{type(error).__name__}: {text}".split())[:_LONGEST]


if __name__ == "__main__":
    main()
