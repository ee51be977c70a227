"""A wish as it is read: its normal form, the mode that suits it, and the name of what is asked."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping

from pytest_artisan.ensemble.answers import MODES, Mode, Role, WishError
from pytest_artisan.ensemble.briefs import SCHEMA_VERSION, Language
from pytest_artisan.ensemble.settings import Endpoint

LONGEST = 4_000
# Characters from which two and three members are asked.
_BALANCED, _CREATIVE = 50, 201
# What nobody sees: controls, marks that turn or hide text, fillers, tags, halves of characters.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]+"
)
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
# A small word, or a figure, that turns the meaning of a wish which is otherwise alike.
_TURNING = re.compile(
    r"\d|\b(?:no|not|non|nor|never|without|free|less|avoid\w*|except|but|only|don'?t|hate\w*|dislike\w*|allerg\w*)\b"
    r"|빼|없|말고|말아|제외|알레르|알러지|싫|않|안 |못|금지|피하|줄여|덜|프리|민감",
    re.IGNORECASE,
)


def normalised(wish: str) -> str:
    """The wish without what nobody sees, in one form of what looks alike. Raises WishError where nothing is left."""
    _check_length(wish)
    text = " ".join(unicodedata.normalize("NFKC", _UNSEEN.sub(" ", wish)).split())
    if not text:
        raise WishError("the wish is empty")
    # There are ligatures of up to 18 letters.
    _check_length(text)
    return text


def _check_length(text: str) -> None:
    if len(text) > LONGEST:
        raise WishError(f"a wish has at most {LONGEST} characters; this one has {len(text)}")


def mode_of(text: str, asked: str | None = None) -> Mode:
    """The mode that a caller asked for, else the one for the length of a normalised wish; raises WishError."""
    if asked is None:
        return "fast" if len(text) < _BALANCED else "balanced" if len(text) < _CREATIVE else "creative"
    for mode in MODES:
        if mode == asked:
            return mode
    raise WishError(f"no mode {asked!r}; known: {', '.join(MODES)}")


def language_of(text: str) -> Language:
    """Korean where there is a Korean letter."""
    return "ko" if _HANGUL.search(text) else "en"


def may_be_alike(text: str) -> bool:
    """Whether a wish that is nearly the same means the same: not where a `without` or a figure could be the rest."""
    return _TURNING.search(text) is None


class Keys:
    """Names questions: a digest of the wish, and of all else that shapes the answer."""

    def __init__(self, members: Mapping[Role, Endpoint]) -> None:
        models = {role: [endpoint.url, endpoint.model] for role, endpoint in sorted(members.items())}
        shaped = json.dumps([SCHEMA_VERSION, models]).encode()
        self._of_mode = {mode: hashlib.blake2b(shaped + mode.encode(), digest_size=16) for mode in MODES}

    def of(self, text: str, mode: Mode) -> str:
        """The key of a normalised wish in a mode; capital and small letters are the same."""
        digest = self._of_mode[mode].copy()
        digest.update(text.casefold().encode())
        return digest.hexdigest()
