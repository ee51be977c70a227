"""Functions of the gamma family for x > 0, which numpy lacks: shifted up by recurrence, then an asymptotic series.

Source: Abramowitz and Stegun (1964), 6.1.41, 6.3.18, 6.4.12. Relative errors are below 1e-12 in double precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Above this the series is exact to double precision.
_LARGE = 8


def _shifted(x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`x + _LARGE`, and the terms (_LARGE, ...) x, x + 1, ... in between."""
    values = np.asarray(x, dtype=np.float64)
    return values + _LARGE, values + np.arange(_LARGE).reshape(-1, *[1] * values.ndim)


def log_gamma(x: ArrayLike) -> NDArray[np.float64]:
    large, between = _shifted(x)
    r = 1 / (large * large)
    series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * 691 / 360360))))) / large
    logs = (large - 0.5) * np.log(large) - large + 0.5 * np.log(2 * np.pi) + series
    return np.asarray(logs - np.log(between).sum(axis=0))


def digamma(x: ArrayLike) -> NDArray[np.float64]:
    """The derivative of `log_gamma`."""
    large, between = _shifted(x)
    r = 1 / (large * large)
    series = r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r * (1 / 132 - r * (691 / 32760 - r / 12))))))
    slope = np.log(large) - 0.5 / large - series
    return np.asarray(slope - (1 / between).sum(axis=0))


def trigamma(x: ArrayLike) -> NDArray[np.float64]:
    """The derivative of `digamma`."""
    large, between = _shifted(x)
    r = 1 / (large * large)
    series = r * (1 / 6 - r * (1 / 30 - r * (1 / 42 - r * (1 / 30 - r * (5 / 66 - r * (691 / 2730 - r * 7 / 6))))))
    slope = (1 + 0.5 / large + series) / large
    return np.asarray(slope + (1 / between**2).sum(axis=0))
