"""The two reference models that compare a wish with the examples: a vote of the nearest, and kernel ridge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_artisan.ensemble.local.examples import Example
from pytest_artisan.ensemble.local.features import Floats, Ngrams, Space, importance
from pytest_artisan.ensemble.local.lexicon import language_of
from pytest_artisan.ensemble.local.readings import PARTS, Reading, encode_examples

_NEIGHBOURS = 7
_RIDGE = 0.05
_TINY = np.float32(1e-6)


class Retriever:
    """A vote of the 7 nearest examples by cosine, for each field with the n-grams that tell about this field."""

    _threshold = 0.25

    def __init__(self, examples: Sequence[Example]) -> None:
        self._ngrams = Ngrams(3, 4, 4096, scoped=True)
        self._answers = encode_examples(examples)
        counts = np.stack([self._ngrams.counts(example.wish) for example in examples])
        # An n-gram a row, as a wish has few of them.
        self._library = np.ascontiguousarray(np.sqrt(counts).T)
        self._weights = importance(counts, self._answers, PARTS) ** 2
        self._lengths = np.sqrt(self._weights**2 @ self._library**2)

    def read(self, wish: str, seed: int = 0, temperature: float = 0.0) -> Reading:
        """The mean of the neighbours' answers; neither seed nor temperature matters."""
        counts = self._ngrams.counts(wish)
        known = counts.nonzero()[0]
        query = np.sqrt(counts[known]) * self._weights[:, known] ** 2
        # The wish's own length changes no order, and no share of a vote.
        cosines = query @ self._library[known] / (self._lengths + _TINY)
        nearest = np.argpartition(-cosines, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
        scores = np.empty(self._answers.shape[1], dtype=np.float32)
        for part, places, near in zip(PARTS, nearest, cosines, strict=True):
            # Where a wish resembles nothing, each counts alike.
            votes = near[places] + _TINY
            scores[part] = votes @ self._answers[places, part] / votes.sum()
        return Reading(language_of(wish), scores, self._threshold)

    def hints(self, wish: str, seed: int = 0, temperature: float = 0.0) -> list[str]:
        """Those with the highest scores."""
        return self.read(wish).hints()


class KernelRidge:
    """Kernel ridge regression of all fields at once, with the kernel x·y + (x·y)² of unit n-gram vectors."""

    _threshold = 0.25

    def __init__(self, examples: Sequence[Example]) -> None:
        answers = encode_examples(examples)
        self._space = Space(Ngrams(2, 4, 4096, scoped=True), [example.wish for example in examples], answers)
        self._mean = answers.mean(axis=0)
        kernel = _kernel(self._space.library @ self._space.library.T)
        kernel[np.diag_indices_from(kernel)] += _RIDGE
        self._duals = np.linalg.solve(kernel, answers - self._mean)

    def read(self, wish: str, seed: int = 0, temperature: float = 0.0) -> Reading:
        """The regression's scores; neither seed nor temperature matters."""
        kernel = _kernel(self._space.library @ self._space.vector(wish))
        return Reading(language_of(wish), self._mean + kernel @ self._duals, self._threshold)

    def hints(self, wish: str, seed: int = 0, temperature: float = 0.0) -> list[str]:
        """Those with the highest scores."""
        return self.read(wish).hints()


def _kernel(products: Floats) -> Floats:
    return products + products**2
