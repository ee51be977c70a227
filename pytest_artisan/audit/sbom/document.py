"""The bill of a project's materials: what cyclonedx-py says of the pins, and all else that is known of them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

import msgspec
from packaging.utils import canonicalize_name

from pytest_artisan.audit.audit import Audit
from pytest_artisan.audit.inventory import Inventory, NoAudit
from pytest_artisan.audit.sbom.checkpoints import Checkpoint
from pytest_artisan.audit.sbom.checks import Version, differences
from pytest_artisan.audit.sbom.cleaning import cleaned, cleaned_tree
from pytest_artisan.audit.sbom.components import TOOL, enrich, model_of
from pytest_artisan.audit.sbom.relations import Extent, Relations, relations_of
from pytest_artisan.audit.sbom.root import Root
from pytest_artisan.audit.sbom.vulnerabilities import vulnerabilities_of
from pytest_artisan.audit.source import Release

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

_LONGEST = 100  # characters of the library's complaint
_BEGINNING = ("$schema", "bomFormat", "specVersion")


def document_of(
    base: str,
    audited: Audit,
    inventory: Inventory,
    *,
    root: Root,
    checkpoints: Sequence[Checkpoint],
    version: Version,
    now: datetime,
) -> str:
    """The bill as JSON, `base` being cyclonedx-py's of the inventory's pins; equal input gives equal text.

    Raises NoAudit where `base` can not be read or has other components than the inventory has pins.
    """
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    bom = _bom_of(base, inventory)
    components: dict[Release, Component] = {(canonicalize_name(c.name), c.version or ""): c for c in bom.components}
    hashes: dict[Release, list[str]] = {}
    for pin in inventory.pins:
        hashes.setdefault((pin.name, pin.version), []).extend(pin.hashes)
    for release, component in components.items():
        enrich(component, release, hashes[release])
    refs = {release: str(component.purl) for release, component in components.items()}
    project, models = _project(root), [model_of(checkpoint) for checkpoint in checkpoints]
    _describe(bom, project, inventory, now)
    bom.components = [*components.values(), *models]
    bom.vulnerabilities = vulnerabilities_of(audited, refs)
    relations = relations_of(inventory, root.name)
    needs = {components[one]: [components[other] for other in needed] for one, needed in relations.needs.items()}
    needs |= {project: [*(components[one] for one in relations.direct), *models]} | {model: [] for model in models}
    bom.dependencies = [
        Dependency(one.bom_ref, [Dependency(other.bom_ref) for other in needed]) for one, needed in needs.items()
    ]
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.from_version(version))
    bill = msgspec.json.decode(outputter.output_as_string(), type=dict[str, Any])
    # The library has no class for these.
    bill["compositions"] = _compositions(relations, refs, str(project.purl))
    return _text_of(bill)


class _NamedComponent(msgspec.Struct, frozen=True):
    name: str
    version: str = ""


class _Named(msgspec.Struct, frozen=True):
    """What has to be right in cyclonedx-py's answer before anything is built on it."""

    components: tuple[_NamedComponent, ...] = ()


def _bom_of(base: str, inventory: Inventory) -> Bom:
    from cyclonedx.model.bom import Bom

    try:
        named = msgspec.json.decode(base, type=_Named)
        bom: Bom = Bom.from_json(msgspec.json.decode(base))  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - the library lets out whatever goes wrong where a document is none
        text = cleaned(str(error))[:_LONGEST] or type(error).__name__
        raise NoAudit(f"cyclonedx-py's answer can not be read: {text}") from None
    for difference in differences(((one.name, one.version) for one in named.components), inventory):
        raise NoAudit(f"cyclonedx-py's answer can not be believed: {difference}")
    return bom


def _project(root: Root) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from packageurl import PackageURL

    # It is on no index, and may have the name of something that is.
    purl = PackageURL("generic", name=root.name, version=root.version or None)
    return Component(
        type=ComponentType.APPLICATION,
        name=root.name,
        version=root.version or None,
        purl=purl,
        bom_ref=str(purl),
        supplier=OrganizationalEntity(name=root.supplier),
    )


def _describe(bom: Bom, project: Component, inventory: Inventory, now: datetime) -> None:
    """What the bill is of, who made it, with what and when, and what is missing in it."""
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalContact

    bom.metadata.component, bom.metadata.timestamp = project, now.astimezone(UTC)
    # NTIA's "author of SBOM data" is who creates it; no person did.
    bom.metadata.authors = [OrganizationalContact(name=TOOL)]
    # In the place of cyclonedx-py's own, that a second run gives the same, which only the caller's clock can say.
    bom.metadata.properties = [Property(name=f"{TOOL}:unaudited", value=one.name) for one in inventory.unaudited]
    own = Component(type=ComponentType.APPLICATION, name=TOOL, version=installed_version(TOOL))
    bom.metadata.tools.components.add(own)
    for tool in bom.metadata.tools.components:
        # Sixteen pages about cyclonedx-py itself, of which the validator takes 20 ms for each.
        tool.external_references = []


def _compositions(relations: Relations, refs: Mapping[Release, str], project: str) -> list[dict[str, Any]]:
    """Of which components it is known what they need, and of which it is not."""
    extents = {refs[release]: extent for release, extent in relations.extents.items()}
    extents[project] = relations.direct_extent
    groups = ((extent, sorted(ref for ref, own in extents.items() if own is extent)) for extent in Extent)
    return [{"aggregate": extent.value, "dependencies": named} for extent, named in groups if named]


def _text_of(bill: dict[str, Any]) -> str:
    bill = cleaned_tree(bill) | {"serialNumber": ""}
    digest = hashlib.sha256(msgspec.json.encode(bill)).hexdigest()
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{digest}").urn
    ordered = {key: bill[key] for key in (*_BEGINNING, "serialNumber")} | bill
    return msgspec.json.format(msgspec.json.encode(ordered), indent=2).decode() + "\n"
