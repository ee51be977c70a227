"""One name for all that shapes the service's answers: models, schema, materials and how it learns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache

import msgspec
import rfc8785

from pytest_artisan.ensemble.briefs import SCHEMA_VERSION
from pytest_artisan.fragrance.apprentice import SETTINGS
from pytest_artisan.fragrance.ingredients import Catalogue, load_catalogue

_SHOWN = 12


def digest(data: object) -> str:
    """SHA-256 of the canonical JSON of plain data, in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(msgspec.to_builtins(data))).hexdigest()


@cache
def catalogue_digest(catalogue: Catalogue) -> str:
    """Names the materials with all their facts."""
    return digest([asdict(item) for item in catalogue])


def snapshot_of(models: Mapping[str, str]) -> str:
    """The snapshot of `models`, model ids by role: twelve hexadecimal digits."""
    settings = {name: asdict(found) for name, found in SETTINGS.items()}
    shaped = [dict(models), SCHEMA_VERSION, catalogue_digest(load_catalogue()), settings]
    return digest(shaped)[:_SHOWN]
