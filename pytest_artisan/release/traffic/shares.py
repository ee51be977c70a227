"""A share in per cent as two whole weights, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from pytest_artisan.release.traffic.router import SLOTS, Slot
from pytest_artisan.settings import SettingsError

# Two hundredths make half a per cent: what most shares are multiples of. One sum for all of them, as then a new weight
# beside an old one gives a share between the old share and the new one.
_SUM = 200


def weights_of(slot: Slot, percent: float, most: int) -> dict[Slot, int]:
    """Weights up to `most` that give `slot` exactly that share and the other slot the rest; never both 0.

    Every share that `shares_of` tells of such weights has some. Raises SettingsError where there are none.
    """
    if not 0 <= percent <= 100:
        raise SettingsError(f"a share of {percent} % of the requests: allowed is 0 to 100")
    # The one fraction of whole weights that this is the nearest float to, if there is one: 0.1 means a tenth.
    share = (Fraction(percent) / 100).limit_denominator(2 * most)
    total = _SUM if _SUM % share.denominator == 0 else share.denominator
    weights = {name: int((share if name == slot else 1 - share) * total) for name in SLOTS}
    if shares_of(weights)[slot] != percent or max(weights.values()) > most:
        raise SettingsError(
            f"a share of {percent} % of the requests can not be had by two whole weights up to {most}; multiples of 0.5 % can"
        )
    return weights


def shares_of(weights: Mapping[Slot, int]) -> dict[Slot, float]:
    """The shares in per cent; one weight at least is not 0."""
    return {slot: 100 * weight / sum(weights.values()) for slot, weight in weights.items()}
