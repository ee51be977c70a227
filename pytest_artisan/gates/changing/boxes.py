"""The boxes of a pull request's template, and what has become of them in its text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_ITEM = re.compile(r"(\s*)(?:[-*+]|\d{1,9}[.)])\s+(?:\[([ xX])\]\s+(\S.*))?")
_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})(.*)")
# Blocks of HTML that no browser shows, or that are shown as they are written, and how each ends.
_HIDDEN = (("<!--", "-->"), ("<pre", "</pre>"), ("<script", "</script>"), ("<style", "</style>"))


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
    listed = False
    for number, line in _shown(text):
        found = _ITEM.match(line)
        if found is None:
            listed = listed and (not line.strip() or line[0].isspace())
            continue
        # As far to the right as that, it is code, unless it belongs to an item above.
        if len(found[1].expandtabs(4)) > 3 and not listed:
            continue
        listed = True
        if found[3]:
            yield number, Box(" ".join(found[3].split()), found[2] != " ")


def _shown(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside of blocks that are hidden, or are code by a fence."""
    fence, hidden = "", ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if fence:
            closing = line.strip()
            if len(closing) >= len(fence) and not closing.strip(fence[0]):
                fence = ""
        elif hidden:
            if hidden in line.lower():
                hidden = ""
        elif opening := _FENCE.match(line):
            fence = opening[1]
        elif ends := [end for start, end in _HIDDEN if line.lstrip().lower().startswith(start)]:
            hidden = "" if ends[0] in line.lower() else ends[0]
        else:
            yield number, line


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
