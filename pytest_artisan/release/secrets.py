"""Secrets by reference, and the mask that keeps their values out of every output."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

MASK = "***"
# Shorter values would also mask words that are no secret.
SHORTEST = 4


class Secret:
    """The name of an environment variable that holds a secret; printing it never shows the value."""

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def reveal(self) -> str:
        """The value; raises LookupError where the variable is not set or empty."""
        value = os.environ.get(self.reference, "")
        if not value:
            raise LookupError(f"the environment variable {self.reference} is not set")
        return value

    def masked(self) -> str:
        """Whether and where it is set, for people."""
        state = MASK if os.environ.get(self.reference) else "(not set)"
        return f"{state} (from {self.reference})"

    def __repr__(self) -> str:
        return f"Secret({self.reference})"


class Masker:
    """Replaces the values of secrets, wherever they stand in a text or in a tree of plain values."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        values = {os.environ.get(secret.reference, "") for secret in secrets}
        self._values = sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True)

    def text(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, MASK)
        return text

    def tree(self, value: Any) -> Any:
        """The same tree with every string masked, keys too."""
        if not self._values:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.tree(key): self.tree(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.tree(entry) for entry in value)
        return value
