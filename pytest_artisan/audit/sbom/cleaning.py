"""Texts of others, before they stand in a document that is handed on."""

from __future__ import annotations

import re
from typing import Any

from pytest_artisan.settings import one_line

# A password may hold an "@" itself, so up to the last one before the path.
_CREDENTIALS = re.compile(r"://[^/\s]*@")


def cleaned(text: str) -> str:
    """The text in one line, and without the user and password of any address in it."""
    return one_line(_CREDENTIALS.sub("://", text))


def cleaned_tree(value: Any) -> Any:
    """A tree of JSON with every string cleaned; its keys are the format's own."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, dict):
        return {key: cleaned_tree(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [cleaned_tree(entry) for entry in value]
    return value
