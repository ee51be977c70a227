"""An environment's recorded measurements, which later ones are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from pytest_artisan.files import OWN_FOLDER, write_atomically
from pytest_artisan.release.comparison import ratio_bound
from pytest_artisan.release.environments import NAMES
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import Baseline, Measurement, Samples


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recorded measurement; its samples in order of time, None for one that failed."""

    item: str
    name: str
    value: float
    unit: str
    interval: tuple[float, float] | None = None
    samples: list[float | None] | None = None


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file `.artisan/baseline-<environment>.json`."""

    version: int
    environment: str
    measurements: list[Entry]


class Baselines:
    """The measurements of one environment, by item and name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = {(entry.item, entry.name): entry for entry in entries}

    def of(self, item: str, name: str, samples: Samples | None = None) -> Baseline:
        """The baseline of a measurement with these samples, an empty one where none is recorded."""
        entry = self.entries.get((item, name))
        if entry is None:
            return Baseline()
        ratio = ratio_bound(samples.values, entry.samples) if samples and entry.samples else None
        return Baseline(entry.value, entry.unit, entry.interval, ratio)

    def missing(self, measured: Iterable[Measurement]) -> list[Entry]:
        """The recorded measurements that are not among `measured`."""
        seen = {(m.item, m.name) for m in measured}
        return [entry for key, entry in self.entries.items() if key not in seen]


def path_of(root: Path, environment: str) -> Path:
    """Where the baseline of an environment is kept; it belongs into the repository."""
    return root / OWN_FOLDER / f"baseline-{environment}.json"


def load(root: Path, environment: str) -> Baselines:
    """The recorded baseline; raises SettingsError where there is none, or none that can be read."""
    path = path_of(root, environment)
    try:
        file = msgspec.json.decode(path.read_bytes(), type=File)
    except FileNotFoundError:
        how = "record one with artisan baseline save VERDICT.json"
        raise SettingsError(f"{path}: no baseline for {environment}; {how}") from None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if file.version != 1 or file.environment != environment:
        raise SettingsError(f"{path}: version {file.version} for {file.environment}, expected 1 for {environment}")
    return Baselines(file.measurements)


def save(root: Path, environment: str, measurements: Iterable[Measurement], *, partial: bool = False) -> Path:
    """Replace the environment's baseline; of a partial run's measurements, only those entries.

    Raises SettingsError where there is nothing to record, or no place for it.
    """
    if environment not in NAMES:
        raise SettingsError(f"no environment {environment!r}; known: {', '.join(NAMES)}")
    entries = [
        Entry(m.item, m.name, m.value, m.unit, m.interval, _rounded(m.samples))
        for m in measurements
        if m.value is not None
    ]
    if not entries:
        raise SettingsError("the verdict holds no measurement, so there is nothing to record")
    path = path_of(root, environment)
    if partial and path.exists():
        entries = list({**load(root, environment).entries, **Baselines(entries).entries}.values())
    file = msgspec.json.encode(File(1, environment, sorted(entries, key=lambda e: (e.item, e.name))))
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, msgspec.json.format(file, indent=2).decode() + "\n")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    return path


def _rounded(samples: Samples | None) -> list[float | None] | None:
    """The values in five digits: the file lies in the repository, and no clock is better."""
    if samples is None:
        return None
    return [None if value is None else float(f"{value:.5g}") for value in samples.values]
