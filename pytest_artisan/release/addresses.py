"""What is an address, and what is none."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit


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
