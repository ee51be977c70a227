"""A secret's value stays out of every output, however it is written there."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Callable
from unittest.mock import patch
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan.release.secrets import MASK, SHORTEST, Masker, Secret

WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "a line": lambda value: value.splitlines()[0].strip(),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "URL": lambda value: quote(value, safe=""),
    "path": quote,
    "form": lambda value: urlencode({"k": value}),
    "lower URL": lambda value: "".join(f"%{byte:02x}" if chr(byte) in "/+= &" else quote(bytes([byte])) for byte in value.encode()),
    "hex": lambda value: value.encode().hex(),
    "upper hex": lambda value: value.encode().hex().upper(),
    "JSON": json.dumps,
    "JSON in Unicode": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON with escaped slashes": lambda value: json.dumps(value).replace("/", r"\/"),
    "repr": repr,
    "HTML": html.escape,
    "HTML with numbers": lambda value: html.escape(value).replace("&#x27;", "&#39;"),
}  # fmt: skip
VALUES = ("hunter2+/=&", "q\"uo'te\\d", "schlüssel-日本", "first line/+\nsecond line?<>", "four")


def masker(*values: str) -> Masker:
    names = {f"ARTISAN_TEST_{number}": value for number, value in enumerate(values)}
    with patch.dict(os.environ, names):
        return Masker(map(Secret, names))


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("value", VALUES)
def test_a_secret_is_masked_however_it_is_written(written: str, value: str) -> None:
    form = WRITTEN[written](value)
    masked = masker(value).text(f"before {form} after")

    assert MASK in masked
    assert form not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize("value", VALUES)
@settings(max_examples=30)
@given(before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_a_secret_within_longer_base64_is_masked(value: str, before: bytes, after: bytes) -> None:
    masked = masker(value).text(base64.b64encode(before + value.encode() + after).decode())

    assert MASK in masked
    assert len(masked) - len(MASK) <= 4 * (len(before) + len(after) + 7) // 3


secrets = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=SHORTEST, max_size=30).filter(
    lambda value: len(value.strip()) >= SHORTEST
)


@given(value=secrets, written=st.sampled_from([name for name in WRITTEN if name not in ("a line", "lower URL")]))
def test_no_value_comes_through_in_any_form(value: str, written: str) -> None:
    form = WRITTEN[written](value).removeprefix("k=")
    if written == "repr" or written.startswith("JSON"):
        # Within the quotes that it is written in; a value may begin and end with others.
        form = form[1:-1]

    assert form not in masker(value).text(f"<{form}>").replace(MASK, "\0")


@given(st.text())
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert masker("\ue000 no text of this kind \ue000").text(text) == text
    assert masker().tree({"a": [text]}) == {"a": [text]}


@pytest.mark.parametrize("value", ["", "abc", "      ", "x\n      \ny"])
def test_what_is_too_short_to_be_told_from_a_word_is_not_masked(value: str) -> None:
    assert masker(value).text("abc and      some spaces, x, y") == "abc and      some spaces, x, y"


def test_half_a_character_in_a_value_is_no_error() -> None:
    """An environment may hold bytes that are no UTF-8."""
    assert masker("key-\udcff-end").text("a key-\udcff-end b") == f"a {MASK} b"
