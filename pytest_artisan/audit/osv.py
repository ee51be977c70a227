"""An HTTP service of OSV's API (https://google.github.io/osv.dev/post-v1-query/) as a source of advisories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from pytest_artisan.audit.advisories import Advisory, Affected, MalformedError, Package, advisory_of
from pytest_artisan.audit.budget import Budget
from pytest_artisan.audit.canaries import PUBLIC
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.matching import Concern, concern
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


class OsvService:
    """Asks `{url}/v1/query` about each release, within `timeout_s` seconds for all that is asked of this object.

    What the service says of a version counts where our own evaluation of its record would say otherwise, too. Raises
    NoAudit for an address that is none, or holds credentials.
    """

    rates = True

    def __init__(
        self, url: str, *, canaries: Canaries = PUBLIC, timeout_s: float = 30.0, clock: Clock | None = None
    ) -> None:
        self._base = base_of(url)
        self.origin = f"osv {self._base.partition('://')[2]}"
        self.canaries = canaries
        self._budget = Budget(timeout_s, clock)
        self._answers: dict[Release, tuple[list[str], tuple[Malformed, ...]]] = {}
        self._advisories: dict[tuple[str, str], Advisory] = {}

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        wanted = {(name, text) for name, version in releases for text in spellings(version)}
        new = sorted(wanted - self._answers.keys())
        if new:
            from pytest_artisan.audit.post import within

            for (name, version), records in within(self._budget, self._base, lambda: self._ask(new)).items():
                self._keep(name, version, records)
        return {release: self._known(*release) for release in releases}

    async def _ask(self, releases: Sequence[Release]) -> dict[Release, list[bytes]]:
        """The records about each of them."""
        import asyncio

        from pytest_artisan.audit.post import CONNECTIONS, Service

        answers: dict[Release, list[bytes]] = {}
        left = iter(releases)
        async with Service(self._base, _QUERY, self._budget) as service:

            async def work() -> None:
                for release in left:
                    answers[release] = await self._records(service, release)

            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(work())
        return answers

    async def _records(self, service: Service, release: Release) -> list[bytes]:
        """All pages of one answer together."""
        name, version = release
        query = {"package": {"name": name, "ecosystem": _ECOSYSTEM}, "version": version}
        records, tokens, empty, most = list[bytes](), set[str](), 0, _MOST_BYTES
        while empty <= _MOST_EMPTY:
            content = await service.post(json.dumps(query).encode(), most)
            most -= len(content)
            try:
                page, token = _page(content)
            except ValueError as error:
                raise NoAudit(f"{self._base}: its answer about {'=='.join(release)} {error}") from None
            records += page
            if not token:
                return records
            if token in tokens:
                break
            tokens.add(token)
            query["page_token"] = token
            empty = 0 if page else empty + 1
        raise NoAudit(f"{self._base}: its answer about {'=='.join(release)} does not end: page follows page")

    def _keep(self, name: str, version: str, records: Iterable[bytes]) -> None:
        ids, malformed = list[str](), list[Malformed]()
        for number, record in enumerate(records, 1):
            try:
                advisory = advisory_of(record)
            except (MalformedError, RecursionError) as error:
                where = f"record {number} of {self._base} about {name}=={version}"
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
            # Of what it said before of another version of the package, nothing is lost.
            said = self._advisories.get((name, advisory.id), advisory)
            self._advisories[name, advisory.id] = _with(said, name, version)
        self._answers[name, version] = ids, tuple(malformed)

    def _known(self, name: str, version: str) -> Known:
        answers = [self._answers[name, text] for text in spellings(version)]
        ids = dict.fromkeys(id_ for ids, _ in answers for id_ in ids)
        malformed = dict.fromkeys(bad for _, part in answers for bad in part)
        return Known(tuple(self._advisories[name, id_] for id_ in ids), tuple(malformed))


def base_of(url: str) -> str:
    """The address without the path of a version of the API, or of its query. Raises NoAudit for what is no address."""
    from pytest_artisan.release.environments import url_complaints

    for complaint in url_complaints("osv_url", url):
        raise NoAudit(complaint)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise NoAudit("osv_url: an address of OSV ends with its path, without ? and #")
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


def _with(advisory: Advisory, name: str, version: str) -> Advisory:
    """The same with the version among those affected, where it would not be."""
    if concern(advisory, name, version) is Concern.AFFECTED:
        return advisory
    said = Affected(Package(name, _ECOSYSTEM), versions=(version,))
    return msgspec.structs.replace(advisory, affected=(*advisory.affected, said))
