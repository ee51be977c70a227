"""Requests at a fixed rate, whatever the answers do: an open model on Locust, in processes of its own."""

import math


def planned(rps: float, duration_s: float) -> int:
    """How many requests a rate and a duration make."""
    return math.floor(rps * duration_s + 1e-9)
