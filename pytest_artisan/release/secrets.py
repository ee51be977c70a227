"""Secrets by reference, and the mask that keeps their values out of every output."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
# What was revealed in this process, wherever it came from: a mask may be older than that.
_revealed: set[str] = set()
# Shorter values would also mask words that are no secret.
SHORTEST = 4


def kept(value: str) -> str:
    """The value of a secret, which every mask of this process knows from now on."""
    _revealed.add(value)
    return value


def was_revealed() -> bool:
    """Whether this process knows the value of a secret by having asked for it."""
    return bool(_revealed)


class Secret:
    """The name of an environment variable that holds a secret; printing it never shows the value."""

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def reveal(self) -> str:
        """The value; raises LookupError where the variable is not set or empty."""
        value = os.environ.get(self.reference, "")
        if not value:
            raise LookupError(f"the environment variable {self.reference} is not set")
        return kept(value)

    def masked(self) -> str:
        """Whether and where it is set, for people."""
        state = MASK if os.environ.get(self.reference) else "(not set)"
        return f"{state} (from {self.reference})"

    def __repr__(self) -> str:
        return f"Secret({self.reference})"


class Masker:
    """Replaces the values of secrets, wherever they stand in a text or in a tree of plain values.

    A value is found as it is, a line of it, and as base64, URLs, hex, JSON, Python and HTML write it.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._values = {os.environ.get(secret.reference, "") for secret in secrets}
        self._known = -1
        self._forms: list[str] = []

    def text(self, text: str) -> str:
        for form in self._written():
            # Many of these are faster than one expression of them all.
            text = text.replace(form, MASK)
        return text

    def tree(self, value: Any, *, keys: bool = True) -> Any:
        """The same tree with every string masked; `keys` too."""
        if not self._written():
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.tree(key) if keys else key: self.tree(entry, keys=keys) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.tree(entry, keys=keys) for entry in value)
        return value

    def _written(self) -> list[str]:
        """How all values may be written that are known by now, the longest first."""
        if self._known != len(_revealed):
            self._known = len(_revealed)
            values = self._values | _revealed
            parts = {part for value in values for part in (value, *map(str.strip, value.splitlines()))}
            long_ones = (part for part in parts if len(part.strip()) >= SHORTEST)
            forms = {form for part in long_ones for form in _forms(part)}
            self._forms = sorted(forms, key=lambda form: (-len(form), form))
        return self._forms


def _forms(value: str) -> set[str]:
    """How a value may be written."""
    import html  # and with it the names of all entities, which nobody needs who knows no secret

    # An environment holds bytes; what is no UTF-8 in them comes as half a character.
    data = value.encode(errors="surrogateescape")
    quoted = {quote(data, safe=""), quote(data), quote_plus(data)}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    forms = {value, data.hex(), data.hex().upper(), *quoted, *map(_lower_hex, quoted)}
    forms |= escaped | {text.replace("/", "\\/") for text in escaped}
    forms |= {html.escape(value), html.escape(value, quote=False), html.escape(value).replace("&#x27;", "&#39;")}
    whole = base64.b64encode(data).decode()
    standard = {whole, whole.rstrip("="), *(_within_base64(data, shift) for shift in range(3))}
    return forms | standard | {text.replace("+", "-").replace("/", "_") for text in standard}


def _lower_hex(quoted: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)


def _within_base64(data: bytes, shift: int) -> str:
    """What is sure to stand in the base64 of a longer text where `data` begins `shift` bytes into a group of three."""
    whole = base64.b64encode(bytes(shift) + data).decode().rstrip("=")
    bits = 8 * (shift + len(data))
    # A character is sure where all of its six bits are of `data`.
    return whole[-(-8 * shift // 6) : bits // 6]
