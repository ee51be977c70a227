"""Texts as vectors: character n-grams, hashed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.ensemble.local.lexicon import load_lexicon, normalized

Floats = NDArray[np.float32]
_TOKEN = re.compile(r"[a-z0-9À-ɏ]+|[가-힣]+")
# What stands for itself in an n-gram of a refused word.
_REFUSED = "\0"
# How many texts an n-gram needs to count half of what it tells.
_RARE = 2


def tokens_of(text: str) -> Iterator[tuple[str, bool]]:
    """The words of a text, and whether each stands in what the text refuses."""
    text = normalized(text)
    refused = load_lexicon().refused(text)
    for match in _TOKEN.finditer(text):
        yield match[0], any(start <= match.start() < end for start, end in refused)


def hashed(text: str, size: int) -> int:
    """A bucket below `size`, the same in every process."""
    return zlib.crc32(text.encode()) % size


class Ngrams:
    """Counts of character n-grams of `shortest` to `longest` letters, in `size` buckets.

    `scoped`: what a text refuses has n-grams of its own, as "rose" and "no rose" want opposites.
    """

    def __init__(self, shortest: int, longest: int, size: int, *, scoped: bool) -> None:
        self._shortest, self._longest, self._size, self._scoped = shortest, longest, size, scoped
        self._buckets = lru_cache(maxsize=8192)(self._hash_all)

    def counts(self, text: str) -> Floats:
        """(size,)"""
        buckets = [self._buckets(token, refused and self._scoped) for token, refused in tokens_of(text)]
        if not buckets:
            return np.zeros(self._size, dtype=np.float32)
        return np.bincount(np.concatenate(buckets), minlength=self._size).astype(np.float32)

    def _hash_all(self, token: str, refused: bool) -> NDArray[np.int64]:
        padded, mark = f" {token} ", _REFUSED if refused else ""
        ngrams = (
            mark + padded[start : start + length]
            for length in range(self._shortest, self._longest + 1)
            for start in range(len(padded) - length + 1)
        )
        return np.array([hashed(ngram, self._size) for ngram in ngrams], dtype=np.int64)


def unit(vectors: Floats) -> Floats:
    """Rows (..., d) of length 1; one of only zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def importance(counts: Floats, answers: Floats, parts: Sequence[slice]) -> Floats:
    """How much each of d n-grams (n, d) tells about parts of the answers (n, k) to the texts: (len(parts), d).

    The distance between the mean answer where it stands and the mean answer of all; less where it is rare.
    """
    present = (counts > 0).astype(np.float32)
    told = present.T @ (answers - answers.mean(axis=0))
    told /= present.sum(axis=0)[:, None] + _RARE
    return np.stack([np.linalg.norm(told[:, part], axis=1) for part in parts])


class Space:
    """Unit vectors (d,) of texts, by n-grams that tell about the `answers` (n, k) to `texts`, its library (n, d)."""

    def __init__(self, ngrams: Ngrams, texts: list[str], answers: Floats) -> None:
        self._ngrams = ngrams
        counts = np.stack([ngrams.counts(text) for text in texts])
        [self._weights] = importance(counts, answers, [slice(None)])
        self.library = self._weighted(counts)

    def vector(self, text: str) -> Floats:
        """(d,)"""
        return self._weighted(self._ngrams.counts(text))

    def _weighted(self, counts: Floats) -> Floats:
        return unit(np.sqrt(counts) * self._weights)
