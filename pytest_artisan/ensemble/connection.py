"""HTTP to one endpoint of the OpenAI-compatible API: an answer in time and of its form, or a reason why not."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import Any, TypeVar

import httpx2
import msgspec

from pytest_artisan.clock import asked_pause
from pytest_artisan.ensemble.breaker import Unavailable
from pytest_artisan.ensemble.settings import Endpoint
from pytest_artisan.loopback import is_here

# The longest answer that is read.
_MOST_BYTES = 256 * 1024
# The request's own fault: the endpoint is well, and would say the same again.
_REFUSALS = frozenset({400, 413, 422})
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class Late(Unavailable):
    """No whole answer came in time."""


class Refused(Exception):
    """The endpoint does not take this request."""


class Message(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    message: Message


class Completion(msgspec.Struct):
    """The answer of /chat/completions, as far as it is read."""

    choices: list[Choice]


class Embedding(msgspec.Struct):
    embedding: list[float]


class Embeddings(msgspec.Struct):
    """The answer of /embeddings, as far as it is read."""

    data: list[Embedding]


_Envelope = TypeVar("_Envelope", bound=msgspec.Struct)


class Connection:
    """Requests to an endpoint, one at a time or many; each has a deadline, and a bound on what it reads."""

    def __init__(self, endpoint: Endpoint) -> None:
        # A proxy from the environment is for the world outside; what runs on this machine is asked directly.
        outside = not is_here(endpoint.url)
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        self.model = endpoint.model
        self._client = httpx2.AsyncClient(
            base_url=endpoint.url.rstrip("/") + "/", headers=headers, timeout=None, trust_env=outside, verify=_tls()
        )

    async def post(self, path: str, body: dict[str, Any], kind: type[_Envelope], seconds: float) -> _Envelope:
        """The answer as a `kind`. Raises Unavailable (Late after `seconds`) and Refused."""
        try:
            async with asyncio.timeout(seconds):
                return msgspec.json.decode(await self._read(path, body), type=kind)
        except TimeoutError:
            raise Late(f"no answer within {seconds:.3g} s") from None
        except httpx2.ProtocolError as error:
            # Without its text, which quotes what was sent, the key too, or what came back.
            raise Unavailable(type(error).__name__) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable(f"what it answered is not of its API: {error}") from None

    async def _read(self, path: str, body: dict[str, Any]) -> bytes:
        async with self._client.stream("POST", path, json=body) as response:
            if response.status_code in _REFUSALS:
                raise Refused(f"status {response.status_code}")
            if response.status_code != httpx2.codes.OK:
                passing = response.status_code in _PASSING
                wait = asked_pause(response.headers)
                raise Unavailable(f"status {response.status_code}", passing=passing, wait=wait)
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MOST_BYTES:
                    raise Unavailable(f"more than {_MOST_BYTES} bytes", passing=False)
            return bytes(content)

    async def aclose(self) -> None:
        await self._client.aclose()


@cache
def _tls() -> ssl.SSLContext:
    """One for all: to read the certificates of this machine takes longer than a request."""
    return httpx2.create_ssl_context()
