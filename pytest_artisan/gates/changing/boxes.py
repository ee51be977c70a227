"""The boxes of a pull request's template, and what has become of them in its text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_ITEM = re.compile(r"( *([-*+]|\d{1,9}[.)]) {1,4})(?:\[([ xX])\] +(\S.*))?")
_FIRST = ("-", "*", "+", "1.", "1)")
# Where a line's own begins, behind the marks of lists. No number but 1 is sure to be one.
_START = re.compile(r" *((?:(?:[-*+]|\d{1,9}[.)]) {1,4}(?! ))*)")
_UNSURE = re.compile(r"\b(?!1\b)\d")
_FENCE = re.compile(r"(`{3,}(?=[^`]*$)|~{3,})")
# What is hidden from a reader, or shown as it is written: how it begins, and how it ends (CommonMark 0.31, 4.6).
_HTML = [
    (re.compile(opening, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for opening, end in (
        (r"<(pre|script|style|textarea)([ >]|$)", r"</(pre|script|style|textarea)>"),
        (r"<!--", r"-->"),
        (r"<\?", r"\?>"),
        (r"<!\[CDATA\[", r"\]\]>"),
        (r"<![a-z]", r">"),
        (r"</?[a-z][a-z0-9-]*([ >]|/>|$)", r"^ *$"),
    )
]
_NEVER = re.compile(r"(?!)")


class Box(NamedTuple):
    text: str
    ticked: bool


class Asked(NamedTuple):
    """A box that the template asks for, the line where it stands there, and what is wrong with it in the text."""

    text: str
    line: int
    fault: str


def boxes(text: str) -> Iterator[tuple[int, Box]]:
    """The boxes that a reader sees, with their lines, which count from 1; none of comments and blocks of code."""
    columns, blank = [0], True
    for number, line in _shown(text):
        found, indent = _ITEM.match(line), _indent(line)
        inner = columns[-1]
        while line.strip() and indent < columns[-1]:
            columns.pop()
        # Farther to the right, it is code; and no list that begins in a paragraph begins with another number than 1.
        if found and indent <= columns[-1] + 3 and (found[2] in _FIRST or blank or indent < inner):
            columns.append(len(found[1]))
            if found[4]:
                yield number, Box(" ".join(found[4].split()), found[3] != " ")
        blank = not line.strip()


class _Block(NamedTuple):
    """Lines that are no Markdown: until which one, from which column on, and whether a list's mark says so."""

    end: re.Pattern[str]
    column: int
    exact: bool
    html: bool


def _shown(text: str) -> Iterator[tuple[int, str]]:
    """The lines as Markdown has them, a dot for what is none. Where it is not sure that a block has ended, it has not."""
    block, comment = None, False
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = raw.expandtabs(4)
        if block and line.strip() and _indent(line) < block.column:
            block = None if block.exact and not comment else block._replace(end=_NEVER, exact=False)
        opened = block or _opening(line)
        yield number, line if opened is None else " " * _indent(line) + "."
        if opened is None:
            continue
        if opened.html and ("<!--" in line or "-->" in line):
            comment = line.rfind("<!--") > line.rfind("-->")
        # A fence does not end where it begins. Behind a block, a browser still waits for the end of a comment.
        if (block or opened.html) and opened.end.search(line):
            opened = opened._replace(end=_NEVER, exact=False) if comment else None
        block = opened


def _opening(line: str) -> _Block | None:
    start = _START.match(line)
    assert start is not None
    column, rest = start.end(), line[start.end() :]
    html = next((end for opening, end in _HTML if opening.match(rest)), None)
    if fence := _FENCE.match(rest):
        farthest = column + 3 if start[1] or not column else column
        end = re.compile(f"^ {{{column},{farthest}}}{fence[1][0]}{{{len(fence[1])},}} *$")
    elif html:
        end = html
    else:
        return None
    if _UNSURE.search(start[1]):
        return _Block(_NEVER, 0, exact=False, html=False)
    return _Block(end, column, bool(start[1]), html=not fence)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def asked_of(template: str, body: str) -> list[Asked]:
    """Every box that the template asks for; one that ends in "(optional)" may stay open, or go."""
    written = [box for _, box in boxes(body)]
    ticked = Counter(box.text for box in written if box.ticked)
    open_ = {box.text for box in written if not box.ticked}
    asked = [(line, box.text) for line, box in boxes(template) if not box.text.lower().endswith("(optional)")]
    wanted = Counter(text for _, text in asked)
    return [Asked(text, line, _fault(ticked[text] >= wanted[text], text in open_)) for line, text in asked]


def _fault(ticked: bool, left_open: bool) -> str:
    if left_open:
        return "not ticked"
    return "" if ticked else "missing"
