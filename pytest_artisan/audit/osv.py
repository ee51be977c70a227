"""An HTTP service of OSV's API (https://google.github.io/osv.dev/post-v1-query/) as a source of advisories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from pytest_artisan.audit.advisories import Advisory, Affected, MalformedError, Package, advisory_of
from pytest_artisan.audit.budget import Budget
from pytest_artisan.audit.canaries import PUBLIC
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.matching import Concern, concern, version_of
from pytest_artisan.audit.records import Record, id_in
from pytest_artisan.audit.source import Canaries, Known, Malformed, Release, spellings
from pytest_artisan.clock import Clock

if TYPE_CHECKING:
    from pytest_artisan.audit.post import Service

_ECOSYSTEM = "PyPI"
_QUERY = "/v1/query"
_MOST_BYTES = 32 << 20  # of all pages about one release; the public service sends no more in one
_MOST_EMPTY = 20  # pages in a row that bring no record
_VULNS, _TOKEN = "vulns", "next_page_token"
_FAULTS = frozenset({"error", "errors", "code"})
_Question = tuple[str, str | None]  # a name, and a version, or None for whichever


class OsvService:
    """Asks `{url}/v1/query` about each release, within `timeout_s` seconds for all that is asked of this object.

    What the service says of a version counts where our own evaluation of its record would say otherwise, too. Of one that
    is no version it can say nothing, so that all that it knows of the package is looked at. Raises NoAudit for an address
    that is none, or holds credentials.
    """

    rates = True

    def __init__(
        self, url: str, *, canaries: Canaries = PUBLIC, timeout_s: float = 30.0, clock: Clock | None = None
    ) -> None:
        self._base = base_of(url)
        self.origin = f"osv {self._base.partition('://')[2]}"
        self.canaries = canaries
        self._budget = Budget(timeout_s, clock)
        self._answers: dict[_Question, tuple[list[str], tuple[Malformed, ...]]] = {}
        self._told: dict[tuple[str, str], list[Advisory]] = {}  # all that it said by one id, of whichever version
        self._affected: dict[tuple[str, str], dict[str, None]] = {}  # and which versions it said to be affected

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        wanted = {question for release in releases for question in _questions(*release)}
        new = sorted(wanted - self._answers.keys(), key=_order)
        if new:
            from pytest_artisan.audit.post import within

            answers = within(self._budget, self._base, lambda: self._ask(new))
            for question in new:
                self._keep(*question, answers[question])
        return {release: self._known(*release) for release in releases}

    async def _ask(self, questions: Sequence[_Question]) -> dict[_Question, list[bytes]]:
        """The records about each of them."""
        import asyncio

        from pytest_artisan.audit.post import CONNECTIONS, Service

        answers: dict[_Question, list[bytes]] = {}
        left = iter(questions)
        async with Service(self._base, _QUERY, self._budget) as service:

            async def work() -> None:
                for question in left:
                    answers[question] = await self._records(service, question)

            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(work())
        return answers

    async def _records(self, service: Service, question: _Question) -> list[bytes]:
        """All pages of one answer together."""
        name, version = question
        query: dict[str, Any] = {"package": {"name": name, "ecosystem": _ECOSYSTEM}}
        query |= {} if version is None else {"version": version}
        records, tokens, empty, most = list[bytes](), set[str](), 0, _MOST_BYTES
        while empty <= _MOST_EMPTY:
            content = await service.post(json.dumps(query).encode(), most)
            most -= len(content)
            try:
                page, token = _page(content)
            except ValueError as error:
                raise NoAudit(f"{self._base}: its answer about {_text(question)} {error}") from None
            records += page
            if not token:
                return records
            if token in tokens:
                break
            tokens.add(token)
            query["page_token"] = token
            empty = 0 if page else empty + 1
        raise NoAudit(f"{self._base}: its answer about {_text(question)} does not end: page follows page")

    def _keep(self, name: str, version: str | None, records: Iterable[bytes]) -> None:
        ids, malformed = list[str](), list[Malformed]()
        for number, record in enumerate(records, 1):
            try:
                advisory = advisory_of(record)
            except (MalformedError, RecursionError) as error:
                where = f"record {number} of {self._base} about {_text((name, version))}"
                malformed.append(Malformed(id_in(Record(record, where)), str(error)))
                continue
            if advisory.withdrawn is not None:
                continue
            if name not in advisory.packages:
                raise NoAudit(
                    f"{self._base}: can not be believed: asked about {name}, it told of {advisory.id}, which is about "
                    + (", ".join(sorted(advisory.packages)) or "nothing of PyPI")
                )
            ids.append(advisory.id)
            told = self._told.setdefault((name, advisory.id), [])
            if advisory not in told:
                told.append(advisory)
            affected = self._affected.setdefault((name, advisory.id), {})
            affected |= {} if version is None else {version: None}
        self._answers[name, version] = ids, tuple(malformed)

    def _known(self, name: str, version: str) -> Known:
        answers = [self._answers[question] for question in _questions(name, version)]
        ids = dict.fromkeys(id_ for ids, _ in answers for id_ in ids)
        malformed = dict.fromkeys(bad for _, part in answers for bad in part)
        advisories = (_with(told, name, self._affected[name, id_]) for id_ in ids for told in self._told[name, id_])
        return Known(tuple(advisories), tuple(malformed))


def _questions(name: str, version: str) -> Sequence[_Question]:
    asked: list[_Question] = [(name, text) for text in spellings(version)]
    return asked if version_of(version) is not None else [*asked, (name, None)]


def _order(question: _Question) -> tuple[str, str]:
    return question[0], question[1] or ""


def _text(question: _Question) -> str:
    name, version = question
    return name if version is None else f"{name}=={version}"


def base_of(url: str) -> str:
    """The address without the path of a version of the API, or of its query. Raises NoAudit for what is no address."""
    from pytest_artisan.release.addresses import url_complaints

    for complaint in url_complaints("osv_url", url):
        raise NoAudit(complaint)
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/query").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _page(content: bytes) -> tuple[list[bytes], str]:
    """The records of a page, and the token of the next one or "". Raises ValueError where it is no page of OSV's."""
    if not content.strip():
        raise ValueError("is empty")
    try:
        page = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        records = msgspec.json.decode(page.get(_VULNS, b"[]"), type=list[msgspec.Raw])
        token = msgspec.json.decode(page.get(_TOKEN, b"null"), type=str | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"is not of OSV: {error}; it begins with {_begin(content)}") from None
    foreign = page.keys() - {_VULNS, _TOKEN}
    if foreign & _FAULTS or (foreign and _VULNS not in page):
        raise ValueError(f"is not of OSV: it has {', '.join(map(repr, sorted(foreign)[:5]))}: {_begin(content)}")
    return [bytes(record) for record in records], token or ""


def _begin(content: bytes) -> str:
    return repr(content[:60].decode(errors="replace"))


def _with(advisory: Advisory, name: str, versions: Iterable[str]) -> Advisory:
    """The same with the versions among those affected, as far as they would not be."""
    left = tuple(version for version in versions if concern(advisory, name, version) is not Concern.AFFECTED)
    if not left:
        return advisory
    said = Affected(Package(name, _ECOSYSTEM), versions=left)
    return msgspec.structs.replace(advisory, affected=(*advisory.affected, said))
