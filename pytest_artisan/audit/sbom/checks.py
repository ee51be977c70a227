"""What keeps a document from being a bill that somebody may rely on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from packaging.utils import canonicalize_name

from pytest_artisan.audit.inventory import Inventory
from pytest_artisan.audit.sbom.checkpoints import Checkpoint
from pytest_artisan.audit.sbom.cleaning import cleaned
from pytest_artisan.audit.source import Release

Version = Literal["1.6", "1.7"]
MODEL = "machine-learning-model"
_LONGEST = 200  # characters of a fault


def faults_of(text: str, inventory: Inventory, version: Version, checkpoints: Sequence[Checkpoint] = ()) -> list[str]:
    """Why the text is no sound bill of exactly these pins and checkpoints, a line each; nothing where it is one.

    It is of CycloneDX's strict schema, has NTIA's minimum elements, and nothing in it has the name of something else.
    """
    faults = list(_schema_faults(text, version))
    # What follows relies on the schema's types.
    if not faults:
        bill = msgspec.json.decode(text)
        components = list(_components(bill))
        faults += differences(((c["name"], c.get("version", "")) for c in components if c["type"] != MODEL), inventory)
        faults += _checkpoint_faults([c for c in components if c["type"] == MODEL], checkpoints)
        faults += _ntia_faults(bill, components)
        faults += _name_faults(bill, components)
    return [cleaned(fault)[:_LONGEST] for fault in faults]


def _schema_faults(text: str, version: Version) -> Iterator[str]:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    try:
        stated = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        yield f"it is no JSON: {error}"
        return
    # The schema of each version takes the number of any other.
    if not isinstance(stated, Mapping) or stated.get("specVersion") != version:
        yield f"it is no CycloneDX {version}"
        return
    invalid = JsonStrictValidator(SchemaVersion.from_version(version)).validate_str(text)
    if invalid is not None:
        found = invalid.data
        yield f"it is not of the schema of CycloneDX {version}: {found.json_path}: {found.message}"


def _components(part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Those of a document, and those within others."""
    for component in part.get("components", ()):
        yield component
        yield from _components(component)


def differences(found: Iterable[Release], inventory: Inventory) -> Iterator[str]:
    """What the components' names and versions and the pins do not share, both ways, and what is there twice."""
    counts = Counter((canonicalize_name(name), version) for name, version in found)
    pins = {(pin.name, pin.version) for pin in inventory.pins}
    if not pins:
        yield "there is no pin that it could be a bill of"
    for name, version in sorted(pins - counts.keys()):
        yield f"{name} {version} was audited, and is not in it"
    for name, version in sorted(counts.keys() - pins):
        yield f"{name} {version} is in it, and was not audited"
    for (name, version), count in sorted(counts.items()):
        if count > 1:
            yield f"{name} {version} is in it {count} times"


def _checkpoint_faults(components: Sequence[Mapping[str, Any]], checkpoints: Sequence[Checkpoint]) -> Iterator[str]:
    found = Counter((c["name"], h["content"]) for c in components for h in c.get("hashes", [{"content": ""}]))
    expected = Counter((one.path, one.sha256) for one in checkpoints)
    for path, _ in sorted((expected - found).keys()):
        yield f"the checkpoint {path} is not in it with its SHA-256"
    for path, _ in sorted((found - expected).keys()):
        yield f"the checkpoint {path} is in it, and was not looked at"


def _ntia_faults(bill: Mapping[str, Any], components: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """https://www.ntia.gov/page/software-bill-materials, the minimum elements of 2021."""
    metadata = bill.get("metadata", {})
    if not any(author.get("name") for author in metadata.get("authors", ())):
        yield "it names no author"
    if not metadata.get("timestamp"):
        yield "it has no timestamp"
    for component in components:
        yield from _missing(component, ("version", "purl", "bom-ref"))
    root = metadata.get("component")
    if root is None:
        yield "it does not say of what it is the bill"
    else:
        # A project may have no version yet; the folder's name is all that is known of some.
        yield from _missing(root, ("purl", "bom-ref"))


def _missing(component: Mapping[str, Any], keys: Iterable[str]) -> Iterator[str]:
    missing = [key for key in ("name", *keys) if not component.get(key)]
    if not component.get("supplier", {}).get("name"):
        missing.append("supplier")
    if missing:
        yield f"{component['name']} has no {' and no '.join(missing)}"


def _name_faults(bill: Mapping[str, Any], components: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """References that lead nowhere or to two things, and components of which nobody says what they need."""
    every = [*components, *filter(None, [bill.get("metadata", {}).get("component")])]
    refs = Counter(c["bom-ref"] for c in every if "bom-ref" in c)
    refs += Counter(v["bom-ref"] for v in bill.get("vulnerabilities", ()) if "bom-ref" in v)
    purls = Counter(c["purl"] for c in every if "purl" in c)
    yield from (f"{name} names {count} things" for name, count in sorted((refs | purls).items()) if count > 1)
    needs = {one["ref"]: one.get("dependsOn", ()) for one in bill.get("dependencies", ())}
    named = {*needs, *(ref for ones in needs.values() for ref in ones)}
    named |= {one["ref"] for v in bill.get("vulnerabilities", ()) for one in v.get("affects", ())}
    named |= {ref for one in bill.get("compositions", ()) for ref in one.get("dependencies", ())}
    yield from (f"{ref} is named, and is not in it" for ref in sorted(named - refs.keys()))
    yield from (f"nothing says what {c['name']} needs" for c in every if c.get("bom-ref") not in needs)
