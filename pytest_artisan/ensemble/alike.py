"""Wishes that mean the same in other words: nearest neighbours among those that were answered."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.clock import Clock
from pytest_artisan.ensemble.calls import NO_ANSWER, Caller, Reply, SchemaFailure
from pytest_artisan.ensemble.connection import Embeddings

SIMILAR = 0.9
_REMEMBERED = 1_000
_PATIENCE_S = 1.0
Vector = NDArray[np.float32]


class Alike:
    """The last 1,000 answered wishes of each kind by their embeddings; without them no two wishes are alike.

    Wishes of different kinds, that is of another mode or language, have different answers however near they are.
    """

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self._caller, self._clock = caller, clock
        self._known: dict[str, OrderedDict[str, Vector]] = {}

    async def embed(self, text: str) -> Vector | None:
        """The wish as a unit vector (d,); None where the model does not answer."""
        body = {"model": self._caller.model, "input": text}
        try:
            deadline = self._clock.now() + _PATIENCE_S
            return (await self._caller.call("embeddings", body, Embeddings, _read, deadline)).content
        except NO_ANSWER:
            return None

    def nearest(self, kind: str, vector: Vector) -> str | None:
        """The key of the nearest wish, if its cosine is at least 0.9."""
        known = self._known.get(kind)
        if not known or any(len(other) != len(vector) for other in known.values()):
            return None
        cosines = np.array(list(known.values())) @ vector
        best = int(cosines.argmax())
        return list(known)[best] if cosines[best] >= SIMILAR else None

    def remember(self, kind: str, key: str, vector: Vector) -> None:
        known = self._known.setdefault(kind, OrderedDict())
        known[key] = vector
        known.move_to_end(key)
        if len(known) > _REMEMBERED:
            known.popitem(last=False)

    async def aclose(self) -> None:
        await self._caller.aclose()


def _read(answer: Embeddings) -> Reply[Vector]:
    with np.errstate(over="ignore"):  # what is too large is infinite
        vector = np.array(answer.data[0].embedding if answer.data else (), np.float32)
        length = float(np.linalg.norm(vector))
    if not (np.isfinite(length) and length):
        raise SchemaFailure("the embedding has no direction")
    return Reply(vector / length)
