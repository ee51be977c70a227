"""What GitHub Actions tells of the pull request that a session runs for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pytest_artisan.settings import SettingsError, read_json
from pytest_artisan.verdict.evidence import NoEvidence


class Side(msgspec.Struct, frozen=True):
    """A branch and the commit at its tip."""

    ref: str
    sha: str


class Request(msgspec.Struct, frozen=True):
    """A pull request: its branch, where it is to go, and its text."""

    head: Side
    base: Side
    body: str | None


class Queued(msgspec.Struct, frozen=True):
    """What a merge queue has made of pull requests and their base."""

    head_sha: str


class _Event(msgspec.Struct, frozen=True):
    pull_request: Request | None = None
    merge_group: Queued | None = None


def request_of(environment: Mapping[str, str]) -> Request | None:
    """The pull request of the event that started this run, None where none did. Raises NoEvidence."""
    event = _event_of(environment)
    if event.pull_request is None and environment.get("GITHUB_EVENT_NAME", "").startswith("pull_request"):
        raise NoEvidence("this run is for a pull request, and GITHUB_EVENT_PATH leads to none")
    return event.pull_request


def queued_commit(environment: Mapping[str, str]) -> str | None:
    """The commit of a merge queue that this run is for, whose pull requests have been judged one by one."""
    queued = _event_of(environment).merge_group
    return queued.head_sha if queued else None


def _event_of(environment: Mapping[str, str]) -> _Event:
    path = environment.get("GITHUB_EVENT_PATH")
    try:
        event: _Event = read_json(Path(path), _Event, "the event of GITHUB_EVENT_PATH") if path else _Event()
    except SettingsError as error:
        raise NoEvidence(str(error)) from None
    return event
