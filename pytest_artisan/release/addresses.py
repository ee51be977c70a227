"""What is an address, and what is none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl


@cache
def certificates(url: str) -> ssl.SSLContext:
    """What a client of this address trusts, read once, as that takes longer than a request; nobody, without TLS.

    Raises OSError and ValueError for what the environment names and is none.
    """
    import ssl

    import httpx2

    from pytest_artisan.loopback import is_here  # and with it asyncio, which takes a tenth of every command's start

    if not url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.create_ssl_context(trust_env=not is_here(url))


def url_complaints(
    field: str, url: str, schemes: tuple[str, ...] = ("http", "https"), *, may_ask: bool = False
) -> Iterator[str]:
    """What is wrong with an address, which may hold a query where it `may_ask`."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not any(map(str.isspace, url))
    except ValueError:
        parts, sound = None, False
    if parts is None or not sound or "@" in parts.netloc:
        if "@" in url:
            # Without the address: what could be a password is not repeated.
            yield f"{field}: an address must not hold credentials; name them by reference"
        else:
            yield f"{field}: {url!r} is no {' or '.join(schemes)} address"
    elif "http" in schemes and not may_ask and set("?#") & set(url):
        # What is asked for is put behind it; and here, too, it may be a key.
        yield f"{field}: an address must not hold a query; name a key by reference"
