"""What a signed verdict costs: `python benchmarks/attestation.py`.

Signing and checking in one process, `artisan verify` as a user starts it, and mutations a second. Processor time stands
beside the clock's, as other processes do not change it much.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from moga import spread

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import attestation_house as house
from release_house import repository

from pytest_artisan.commands.attestation import policies_of
from pytest_artisan.release.attestation.attested import Refused, Wanted
from pytest_artisan.release.attestation.attesting import Attestor, Order, grounds_of
from pytest_artisan.release.attestation.envelope import opened
from pytest_artisan.release.attestation.keys import Trusted, trusted
from pytest_artisan.release.attestation.verifying import verify
from pytest_artisan.verdict.decide import Purpose, Requirements

ROUNDS, STARTS, MUTATIONS = 200, 30, 10_000


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    keys, root = house.make_keys(folder), folder / "shop"
    repository(root)
    house.trust(root, keys)
    os.environ["ARTISAN_SIGNING_KEY"] = str(keys.private)
    os.chdir(root)
    now = datetime.now(UTC)
    path = house.sign(root, keys, at=now)
    attestor, verdict = Attestor.of(root, "", Order(), lambda: now), house.verdict_of(root)
    grounds = grounds_of(Requirements(Purpose.RELEASE, ("unit",), verdict.policy_digest), house.PLAN, house.SEEN)
    known = trusted(root, ())
    measured: dict[str, Callable[[], object]] = {
        "attest: read the subjects, sign": lambda: attestor.attest(verdict, grounds, baseline=False),
        "verify: all checks, git included": lambda: verify(
            root, path, Wanted(environment="dev"), now, policies_of(root)
        ),
        "the signature alone": lambda: opened(path.read_bytes(), known),
    }
    for name, call in measured.items():
        print(f"{name}: {spread([1000 * took(call) for _ in range(ROUNDS)])} ms")
    command = [sys.executable, "-m", "pytest_artisan", "verify", path.name, "--env=dev"]
    clock, processor = zip(*(started(command) for _ in range(STARTS)), strict=True)
    print(f"artisan verify, cold: {spread(clock)} ms; processor time {spread(processor)} ms")
    mutations(path.read_bytes(), known)


def took(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def started(command: list[str]) -> tuple[float, float]:
    """Milliseconds by the clock, and of the processor, git's included."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    clock, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return 1000 * clock, 1000 * used


def mutations(data: bytes, known: tuple[Trusted, ...]) -> None:
    chance, refused, start = random.Random(0), 0, time.perf_counter()  # noqa: S311 - nothing secret
    for _ in range(MUTATIONS):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        try:
            opened(bytes(changed), known)
        except Refused:
            refused += 1
    seconds = time.perf_counter() - start
    print(f"{refused} of {MUTATIONS} mutations of one byte refused, {MUTATIONS / seconds:.0f} a second")


if __name__ == "__main__":
    main()
