"""What runs in blue and green: its start, its end, and whether it is ready."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from pytest_artisan import tools
from pytest_artisan.loopback import is_here
from pytest_artisan.release.addresses import certificates
from pytest_artisan.release.slots.settings import PLACEHOLDER, Slots
from pytest_artisan.release.traffic.router import Slot
from pytest_artisan.release.versions import is_hotfix
from pytest_artisan.settings import SettingsError, one_line, parse_json
from pytest_artisan.verdict.evidence import NoEvidence

if TYPE_CHECKING:
    import httpx2

_ANSWER_S, _ANSWER_BYTES, _QUOTED = 5.0, 1 << 16, 100


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs in a slot; empty where nobody knows it."""

    version: str = ""
    commit: str = ""


class NotReady(Exception):
    """A service that can not be given a request; its text is one line that says why."""


class Control(Protocol):
    """The two slots of an environment. `start` and `stop` raise NoEvidence where they fail."""

    @property
    def start_s(self) -> float:
        """How long a service may take to be ready."""
        ...

    def start(self, slot: Slot, build: Build) -> None:
        """Have `build` run in the slot; nothing happens where it does. Whether it is ready, `probe` tells."""
        ...

    def probe(self, slot: Slot, build: Build) -> None:
        """Ask the slot once; raises NotReady where it does not answer, is not ready, or is another version.

        Where nobody knows what the build is, any version will do.
        """
        ...

    def stop(self, slot: Slot, build: Build) -> None:
        """Have nothing run in the slot; nothing happens where nothing does."""
        ...


@dataclass(frozen=True, slots=True)
class SlotCommands:
    """Slots by the commands of their settings, which run in `root` without a shell, in a scrubbed environment."""

    settings: Slots
    root: Path

    @property
    def start_s(self) -> float:
        return self.settings.start_s

    def start(self, slot: Slot, build: Build) -> None:
        self._run(self.settings.start, slot, build)

    def stop(self, slot: Slot, build: Build) -> None:
        self._run(self.settings.stop, slot, build)

    def probe(self, slot: Slot, build: Build) -> None:
        url = getattr(self.settings, slot)
        try:
            asyncio.run(_probe(url, build))
        except NotReady as error:
            raise NotReady(one_line(f"{slot} at {url}: {error}")) from None

    def _run(self, command: tuple[str, ...], slot: Slot, build: Build) -> None:
        url = getattr(self.settings, slot)
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        values = {"slot": slot, "version": build.version, "commit": build.commit, "url": url, "port": str(port)}
        tool, *arguments = (PLACEHOLDER.sub(lambda found: values[found[1]], part) for part in command)
        if os.sep in tool:
            tool = str(self.root / tool)
        answer = tools.run(tool, arguments, cwd=self.root, timeout_s=self.settings.start_s)
        if answer.status != 0:
            said = (answer.stderr.strip() or answer.stdout.strip() or "nothing")[-300:]
            typed = " ".join([tool, *arguments])
            raise NoEvidence(one_line(f"{typed} ended with status {answer.status} and said {said}"))


async def _probe(url: str, build: Build) -> None:
    """/health/ready has to answer 200, and /health, where there is one that names a version, the right one."""
    import httpx2

    try:
        async with httpx2.AsyncClient(timeout=None, trust_env=not is_here(url), verify=certificates(url)) as client:
            status, _ = await _get(client, f"{url.rstrip('/')}/health/ready")
            if status != 200:
                raise NotReady(f"/health/ready answers {status}, not 200")
            status, body = await _get(client, f"{url.rstrip('/')}/health")
    except TimeoutError:
        raise NotReady(f"no whole answer within {_ANSWER_S:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NotReady(f"no answer: {type(error).__name__}: {error}") from None
    except (ValueError, ImportError, OSError) as error:
        # The environment's proxy or certificates; without a text, which may quote a password.
        raise NotReady(f"no answer: {type(error).__name__}") from None
    reported = _version_in(body) if status == 200 else ""
    if reported and build.version and not same_version(reported, build):
        raise NotReady(f"it is version {reported[:_QUOTED]!r}, not {build.version}")


async def _get(client: httpx2.AsyncClient, url: str) -> tuple[int, bytes]:
    # For all of it: a client's own timeout begins again with each byte.
    async with asyncio.timeout(_ANSWER_S), client.stream("GET", url) as response:
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _ANSWER_BYTES:
                raise NotReady(f"{url} answers with more than {_ANSWER_BYTES} bytes")
        return response.status_code, body


def _version_in(body: bytes) -> str:
    """The version that an answer names; empty where it is no JSON, or names none."""
    try:
        told: dict[str, Any] = parse_json(body, dict[str, Any], "/health")
    except SettingsError:
        return ""
    reported = told.get("version")
    return reported if isinstance(reported, str) else ""


def same_version(reported: str, build: Build) -> bool:
    """Whether a service's own name for its version may be this build's: the release's, without its v, or the commit.

    The name of a hotfix is a time, which no package has for a version; so one can only be told from other hotfixes.
    """
    if reported in (build.version, build.version.removeprefix("v"), build.commit):
        return True
    return is_hotfix(build.version) and not is_hotfix(reported)
