"""Which users a percentage reaches: a keyed digest puts every user into one of 10,000 buckets, for each flag anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal
from unicodedata import normalize

from pytest_artisan.settings import SettingsError

# Of 0.01 % each.
BUCKETS: Final = 10_000

User = str | int
Purpose = Literal["rollout", "variant"]


def digest(flag: str, purpose: Purpose = "rollout") -> blake2b:
    """The digest that every user of the flag is put into: keyed by the flag, personal to the purpose (RFC 7693)."""
    return blake2b(digest_size=8, key=flag.encode(), person=purpose.encode())


def drawn(start: blake2b, user: User, of: int) -> int:
    """A whole number from 0 to `of` - 1, always the same for a user.

    The user's text counts in Unicode's form NFC, an int as its decimal digits. The digest's 64 bits are scaled, not
    divided: no number is likelier than another by more than one part in 2**64 / `of`.
    """
    text = user if isinstance(user, str) else str(user)
    data = text.encode() if text.isascii() else normalize("NFC", text).encode("utf-8", "surrogatepass")
    found = start.copy()
    found.update(data)
    return int.from_bytes(found.digest(), "big") * of >> 64


def bucket(flag: str, user: User) -> int:
    """The user's bucket of the flag's rollout, 0 to 9,999."""
    return drawn(digest(flag), user, BUCKETS)


def variant(flag: str, user: User, names: Sequence[str]) -> str:
    """One of `names`, each as likely as the others and whatever the flag's rollout says of the user."""
    return names[drawn(digest(flag, "variant"), user, len(names))]


def buckets_of(percentage: str | float) -> int:
    """How many buckets a percentage is; raises SettingsError for what is none, or finer than 0.01 %."""
    text = str(percentage)
    match = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?", text)
    buckets = -1 if match is None else 100 * int(match[1]) + int((match[2] or "").ljust(2, "0"))
    if not 0 <= buckets <= BUCKETS:
        raise SettingsError(f"{text!r} is no percentage; write 0 to 100, in steps of 0.01, such as 5 or 0.25")
    return buckets


def percentage(buckets: int) -> str:
    """The same for people: `5 %`, `0.01 %`."""
    return f"{buckets / 100:g} %"
