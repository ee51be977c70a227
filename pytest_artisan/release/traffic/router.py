"""What every router can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

Slot = Literal["blue", "green"]
SLOTS: tuple[Slot, ...] = ("blue", "green")


class Router(Protocol):
    """All raise NoEvidence where the router can not be asked, or does not do what it was told."""

    def weights(self) -> Mapping[Slot, float]:
        """The share of requests, in per cent, that each slot gets now: what the router says, and not what it was told."""
        ...

    def shift(self, slot: Slot, percent: float) -> None:
        """Give `slot` that share and the other one the rest; no request is lost. It has happened when this returns."""
        ...

    def in_flight(self, slot: Slot) -> int:
        """How many requests the slot is answering now; where nobody can tell, this raises NoEvidence."""
        ...
