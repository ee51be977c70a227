"""Scales, and a sheet to draw on: SVG that stands alone, on a light and on a dark page."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_artisan.settings import one_line

# The root's class, by which a picture of an earlier run is told from a file of somebody else.
MARK = "artisan-chart"
# Card, ink, muted, grid, value, over, bad, good.
_LIGHT = ("#ffffff", "#1f2328", "#59636e", "#d8dee4", "#0969da", "#bc4c00", "#cf222e", "#1a7f37")
_DARK = ("#0d1117", "#f0f6fc", "#9198a1", "#30363d", "#4493f8", "#f0883e", "#f85149", "#3fb950")
_SHAPES = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}path{fill:none;stroke-width:1.5}"
    ".title{font-size:18px;font-weight:600}.panel{font-weight:600}.band{fill-opacity:.16}.limit{stroke-dasharray:6 4}"
    ".grid{stroke-width:1}.curve{stroke-width:2}.dots,.over{stroke-width:4;stroke-linecap:round}.dots{stroke-opacity:.6}"
    ".mark{stroke-width:3;stroke-linecap:round;stroke-linejoin:round}.range{stroke-opacity:.3}"
)
_STROKES = {
    "grid": ("path.grid", "rect.card"),
    "ink": ("path.curve",),
    "value": ("path.value", "path.dots", "path.range", "path.late"),
    "over": ("path.over",),
    "bad": ("path.limit", "path.failed", "path.bad"),
    "good": ("path.good",),
}
_FILLS = {
    "card": (".card",),
    "ink": (".title", ".panel"),
    "muted": (".muted",),
    "value": (".band", "tspan.value", "tspan.range"),
    "over": ("tspan.over",),
    "bad": ("tspan.bad",),
}


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers from `low` to `high`, on a line from `start` to `end`; what lies outside stands at its edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, number: float) -> float:
        share = (min(max(number, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round numbers, about six of them."""
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
        return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


@dataclass(frozen=True, slots=True)
class LogScale:
    """The same for positive numbers, by the scale of their logarithms."""

    logs: Scale

    def __call__(self, number: float) -> float:
        return self.logs(logarithm(number))

    def ticks(self) -> list[float]:
        low, high = 10**self.logs.low, 10**self.logs.high
        if high < 8 * low:
            return Scale(low, high, 0, 1).ticks()
        digits = (1, 2, 5) if high < 1000 * low else (1,)
        decades = range(math.floor(self.logs.low), math.ceil(self.logs.high) + 1)
        found = [digit * 10.0**decade for decade in decades for digit in digits]
        return [tick for tick in found if low <= tick <= high]


def logarithm(number: float) -> float:
    # A picture has no room for more powers of ten, and the ends of a float would overflow.
    return math.log10(min(max(number, 1e-9), 1e12))


class Sheet:
    """Panels between `left` and `right`, drawn in the styles of the page around. All text is escaped, and on one line."""

    def __init__(self, title: str, width: int, height: int, left: int = 76, right: int = 28) -> None:
        self.left, self.right = left, width - right
        self._root = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", role="img")
        ET.SubElement(self._root, "title").text = one_line(title)

    def __str__(self) -> str:
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def rect(self, kind: str, x: float, y: float, width: float, height: float) -> None:
        box = {"x": x, "y": y, "width": width, "height": height}
        ET.SubElement(self._root, "rect", {"class": kind, "rx": "2", **{key: str(size) for key, size in box.items()}})

    def path(self, kind: str, d: str) -> None:
        if d:
            ET.SubElement(self._root, "path", {"class": kind, "d": d})

    def text(self, kind: str, x: float, y: float, text: str, anchor: str = "start", most: int = 60) -> ET.Element:
        place = {"class": kind, "x": str(x), "y": str(y), "text-anchor": anchor}
        element = ET.SubElement(self._root, "text", place)
        element.text = _short(text, most)
        return element

    def panel(self, span: tuple[int, int], title: str, legend: Iterable[tuple[str, str]] = ()) -> None:
        """The title, the ground line and, in coloured text, the legend of what is drawn between two heights."""
        top, bottom = span
        self.text("panel", self.left, top - 10, title)
        self.path("grid", f"M{self.left} {bottom}H{self.right}")
        told = self.text("muted", self.right, top - 10, "", "end")
        for kind, label in legend:
            # No `dx`: some renderers leave it out when they align the end.
            ET.SubElement(told, "tspan", {"class": kind}).text = "\u00a0\u00a0\u00a0" + _short(label, 60)

    def ticks_across(self, bottom: int, ticks: Iterable[tuple[float, str]], title: str) -> None:
        for x, label in ticks:
            self.path("grid", f"M{x} {bottom}v5")
            self.text("muted", x, bottom + 18, label, "middle")
        self.text("muted", self.right, bottom + 34, title, "end")

    def ticks_up(self, ticks: Iterable[tuple[float, str]]) -> None:
        for y, label in ticks:
            self.path("grid", f"M{self.left} {y}H{self.right}")
            self.text("muted", self.left - 8, y + 4, label, "end", 10)


class Card(Sheet):
    """A sheet that stands alone, with styles of its own."""

    def __init__(self, title: str, width: int, height: int) -> None:
        super().__init__(title, width, height)
        self._root.attrib |= {"class": MARK, "width": str(width)}
        dark = f"@media(prefers-color-scheme:dark){{{_colours(_DARK)}}}"
        ET.SubElement(self._root, "style").text = _SHAPES + _colours(_LIGHT) + dark
        self.rect("card", 0.5, 0.5, width - 1, height - 1)


def _short(text: str, most: int) -> str:
    plain = one_line(text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _colours(palette: tuple[str, ...]) -> str:
    names = ("card", "ink", "muted", "grid", "value", "over", "bad", "good")
    of = dict(zip(names, palette, strict=True))
    strokes = (f"{','.join(kinds)}{{stroke:{of[name]}}}" for name, kinds in _STROKES.items())
    fills = (f"{','.join(kinds)}{{fill:{of[name]}}}" for name, kinds in _FILLS.items())
    return "".join((*strokes, *fills))
