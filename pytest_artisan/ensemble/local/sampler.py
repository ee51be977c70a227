"""The reference model that writes byte by byte: a product of byte n-gram experts, kept to the schema by a grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from pytest_artisan.ensemble.briefs import BRIEF_SCHEMA, HINTS_SCHEMA, Language
from pytest_artisan.ensemble.local.examples import Example
from pytest_artisan.ensemble.local.features import Floats, hashed, tokens_of
from pytest_artisan.ensemble.local.lexicon import language_of, load_lexicon
from pytest_artisan.ensemble.local.readings import Reading, encode

# How many bytes an expert looks back on: in hints, hardly further than to the quotation mark.
_ORDERS = {"brief": 6, "hints": 4}
_FEATURES = 4096
# Of a Korean word its first two syllables count, without the particle; of an English one, its first seven letters.
_STEM = {"ko": 2, "en": 7}
# How many examples a word needs to count half; which log-likelihood ratio is chance; no logarithm of 0.
_SHRINK, _CHANCE, _LEAST = 0.3, 4.0, 1e-6
_MOST_BYTES = 2000
# What a reading says of what the sampler wrote: nothing else is ruled out.
_WRITTEN, _DOUBT = 0.8, 0.1


# A context's digits are all alike: whatever a weight is, the next family comes after it.
_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
# Bytes, their log share (k,), and by how much each feature (d, k) changes it.
_Expertise = tuple[list[int], Floats, Floats]
_UNHEARD: _Expertise = ([], np.zeros(0, dtype=np.float32), np.zeros((0, 0), dtype=np.float32))


class SamplerError(RuntimeError):
    """The grammar refused what it had allowed: an error of this module or of llguidance."""


class Sampler:
    """Writes a brief, or hints, with one seeded draw a byte; at temperature 0 always the likeliest byte."""

    def __init__(self, examples: Sequence[Example]) -> None:
        wishes = [_features(example.wish) for example in examples]
        texts = {
            "brief": [_json(example.brief) for example in examples],
            "hints": [_json({"hints": example.hints}) for example in examples],
        }
        self._experts = {task: _Experts(wishes, lines, _ORDERS[task]) for task, lines in texts.items()}
        self._tokenizer = LLTokenizer("byte")
        self._grammars = {"brief": self._grammar(BRIEF_SCHEMA), "hints": self._grammar(HINTS_SCHEMA)}

    def read(self, wish: str, seed: int = 0, temperature: float = 0.0) -> Reading:
        """A written brief as scores."""
        brief = self._write("brief", wish, seed, temperature)
        return Reading(language_of(wish), _DOUBT + _WRITTEN * encode(brief), 2 * _DOUBT)

    def hints(self, wish: str, seed: int = 0, temperature: float = 0.0) -> list[str]:
        """Written hints."""
        return list(self._write("hints", wish, seed, temperature)["hints"])

    def _grammar(self, schema: Mapping[str, Any]) -> str:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides={"whitespace_flexible": False})
        if error := LLMatcher.validate_grammar(grammar, self._tokenizer):
            raise SamplerError(error)
        return grammar

    def _write(self, task: str, wish: str, seed: int, temperature: float) -> dict[str, Any]:
        language, rng = language_of(wish), np.random.default_rng(seed)
        features, text = _features(wish), bytearray()
        matcher = LLMatcher(self._tokenizer, self._grammars[task])
        while not matcher.is_stopped():
            written = bytes(matcher.compute_ff_bytes())
            if not written:
                allowed = _allowed(matcher, text, language)
                written = bytes([self._choose(task, text, features, allowed, rng, temperature)])
            text += written
            matcher.consume_tokens(list(written))
            if (error := matcher.get_error()) or len(text) > _MOST_BYTES:
                raise SamplerError(error or f"no end after {_MOST_BYTES} bytes")
        return dict(json.loads(text))

    def _choose(
        self,
        task: str,
        text: bytearray,
        features: NDArray[np.int64],
        allowed: Collection[int],
        rng: np.random.Generator,
        temperature: float,
    ) -> int:
        if len(allowed) == 1:
            return min(allowed)
        following, odds = self._experts[task].log_odds(bytes(text), features)
        fitting = [place for place, byte in enumerate(following) if byte in allowed]
        if not fitting:
            # Only chance leads to a context that no example shows.
            return int(rng.choice(sorted(allowed)))
        odds = odds[fitting]
        if temperature > 0:
            odds = odds + temperature * rng.gumbel(size=len(odds))
        return following[fitting[int(odds.argmax())]]


class _Experts:
    """For every context of `order` bytes, one expert for each feature of a wish; a product of what they say.

    An expert is made when it is first asked: of all contexts, few are ever met.
    """

    def __init__(self, wishes: Sequence[NDArray[np.int64]], texts: Sequence[bytes], order: int) -> None:
        self._order, self._made = order, dict[bytes, _Expertise]()
        self._features = np.concatenate(wishes)
        self._ends = np.cumsum([0, *map(len, wishes)])
        padded = [bytes(order) + text for text in texts]
        written = np.frombuffer(b"".join(padded), np.uint8)
        seen = np.frombuffer(b"".join(padded).translate(_ONE_DIGIT), np.uint8).astype(np.uint64)
        codes = sum(
            (seen[order - back : len(seen) - back] << np.uint64(8 * (back - 1)) for back in range(1, order + 1)),
            start=np.zeros(len(seen) - order, np.uint64),
        )
        rows = np.repeat(np.arange(len(texts)), [len(text) for text in padded])
        starts = np.cumsum([0, *map(len, padded[:-1])])
        places = np.flatnonzero(np.arange(len(seen)) - starts[rows] >= order)
        places = places[np.argsort(codes[places - order], kind="stable")]
        self._codes, self._rows, self._following = codes[places - order], rows[places], written[places]

    def log_odds(self, text: bytes, features: NDArray[np.int64]) -> tuple[list[int], NDArray[np.floating]]:
        """The bytes that followed the end of this text, and the logarithm of how likely each is, up to a constant."""
        context = text[-self._order :].rjust(self._order, b"\0").translate(_ONE_DIGIT)
        if context not in self._made:
            self._made[context] = self._expertise(context)
        following, prior, experts = self._made[context]
        return following, prior + experts[features].sum(axis=0) if len(following) > 1 else prior

    def _expertise(self, context: bytes) -> _Expertise:
        code = np.uint64(int.from_bytes(context, "big"))
        place = slice(*(int(np.searchsorted(self._codes, code, side)) for side in _SIDES))
        if place.start == place.stop:
            return _UNHEARD
        rows = self._rows[place]
        found, which = np.unique(self._following[place], return_inverse=True)
        lengths = self._ends[rows + 1] - self._ends[rows]
        # Of each row all features, one after the other.
        flat = np.arange(lengths.sum()) + np.repeat(self._ends[rows] - np.cumsum(lengths) + lengths, lengths)
        pairs = self._features[flat] * len(found) + np.repeat(which, lengths)
        counts = np.bincount(pairs, minlength=_FEATURES * len(found)).reshape(_FEATURES, len(found))
        return _weighed(found.tolist(), np.bincount(which), counts.astype(np.float32))


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def _weighed(found: list[int], times: NDArray[np.int64], counts: Floats) -> _Expertise:
    """What follows from how often each byte (k,) came, and how often beside each feature (d, k).

    A feature whose bytes may as well be chance says nothing: for one of them, its log-likelihood ratio has to be high.
    """
    share = (times / times.sum()).astype(np.float32)
    if len(found) == 1:
        return found, np.log(share), np.zeros((0, 1), dtype=np.float32)
    often = counts.sum(axis=1, keepdims=True)
    told = np.log((counts + _SHRINK * share) / (often + _SHRINK) / share)
    surprise = (_information(counts, often * share) + _information(often - counts, often * (1 - share))).max(axis=1)
    return found, np.log(share), told * (surprise > _CHANCE)[:, None]


def _information(seen: Floats, expected: Floats) -> Floats:
    return np.asarray(seen * np.log(np.maximum(seen, _LEAST) / np.maximum(expected, _LEAST)))


def _features(wish: str) -> NDArray[np.int64]:
    """The buckets of a wish's words, each once."""
    stems = {f"{word[: _STEM[language_of(word)]]}{'-' * refused}" for word, refused in tokens_of(wish)}
    return np.array(sorted({hashed(stem, _FEATURES) for stem in stems}), dtype=np.int64)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_ARRAY = re.compile(rb'"(hints|forbidden_ingredients)":\[((?:"[^"]*",)*)("[^"]*"?)?$')
_WEIGHT = re.compile(rb'"notes_preference":\{(?:[^}]*,)?"[a-z]+":([\d.]*)$')
_WEIGHTS = [f"{tenths / 10}{end}".encode() for tenths in range(1, 11) for end in ",}"]
_CEILING = re.compile(rb'"allergen_ceiling":([\d.]*)$')
_CEILINGS = [b"100.0}", b"0.1}"]


def _allowed(matcher: LLMatcher, text: bytearray, language: Language) -> set[int]:
    """The bytes that may follow: what the grammar allows and the house knows; what the grammar can not say, too.

    No name stands twice, no weight is 0, and some family is wanted.
    """
    mask = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
    allowed = {int(byte) for byte in mask[:256].nonzero()[0]}
    known = {rest[0] for rest in _continuations(bytes(text), language)}
    return allowed & known or allowed


def _continuations(text: bytes, language: Language) -> Iterator[bytes]:
    """What may come next where only some texts may; nothing where the grammar says enough."""
    if text.endswith(b'"notes_preference":{'):
        yield b'"'
    elif text.endswith(b'"language":"'):
        yield language.encode()
    elif match := _WEIGHT.search(text):
        yield from _rests(_WEIGHTS, match[1])
    elif match := _CEILING.search(text):
        yield from _rests(_CEILINGS, match[1])
    elif match := _ARRAY.search(text):
        names = load_lexicon().hints[language] if match[1] == b"hints" else load_lexicon().materials
        written = {name for name in match[2].split(b",") if name}
        if match[3] is None:
            yield b"]"
        yield from _rests(
            [quoted for name in names if (quoted := f'"{name}"'.encode()) not in written], match[3] or b""
        )


def _rests(texts: Sequence[bytes], start: bytes) -> Iterator[bytes]:
    return (text[len(start) :] for text in texts if text.startswith(start) and text != start)
