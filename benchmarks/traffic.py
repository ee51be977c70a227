"""What a switch of traffic costs behind a real HAProxy, in requests and in time: `python benchmarks/traffic.py`.

Two slots on this machine are asked by visitors on kept connections who send nothing twice. Beside our order of the two
weights stands the other one, which lowers a weight before it raises the other. It needs HAProxy (Debian: `haproxy`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from moga import table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from haproxy_house import ABSENT, PROGRAM, House, haproxy
from visitors import Visits, slots, visiting

from pytest_artisan.release.traffic.haproxy import HAProxy
from pytest_artisan.release.traffic.router import Slot

SWITCHES, BETWEEN, CONNECTIONS = 20, 800, 16
SHARES = (0.5, 1.0, 5.0, 25.0, 50.0, 100.0)


def switched(house: House, shift: Callable[[Slot], object]) -> list[str]:
    """Requests, those that had no 200, and the time of a switch."""
    times = []
    with visiting(house.url, connections=CONNECTIONS) as visits:
        for number in range(SWITCHES):
            visits.wait(BETWEEN)
            started = time.perf_counter()
            shift("blue" if number % 2 else "green")
            times.append(1000 * (time.perf_counter() - started))
    return [f"{visits.sent:,}", f"{len(visits.failed)}", f"{median(times):.1f} ms (at most {max(times):.1f} ms)"]


def got(house: House, router: HAProxy, percent: float) -> list[str]:
    router.shift("green", percent)
    return [f"{percent:g} %", f"{Visits(house.url, '/').share(1000)['green'] / 10:g} %"]


def main() -> None:
    if PROGRAM is None:
        sys.exit(ABSENT)
    with slots() as (blue, green), haproxy(blue, green) as house:
        router = HAProxy.of(house.traffic)

        # What a switch without a thought for the order does.
        def lower_first(slot: Slot) -> None:
            other = "green" if slot == "blue" else "blue"
            house.tell(f"set server be/{other} weight 0; set server be/{slot} weight 200")

        orders: dict[str, Callable[[Slot], object]] = {
            "ours": lambda slot: router.shift(slot, 100),
            "lower first": lower_first,
        }
        head = ["order", "requests", "without a 200", "a switch"]
        table(f"{SWITCHES} switches under load", head, ([name, *switched(house, orders[name])] for name in orders))
        table("shares", ["asked", "got of 1,000 requests"], (got(house, router, percent) for percent in SHARES))


if __name__ == "__main__":
    main()
