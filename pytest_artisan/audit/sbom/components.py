"""What a bill says of one release, or of one checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_artisan.audit.sbom.checkpoints import Checkpoint
from pytest_artisan.audit.sbom.declared import NOASSERTION, declared_by
from pytest_artisan.audit.source import Release

if TYPE_CHECKING:
    from cyclonedx.model import HashType
    from cyclonedx.model.component import Component

TOOL = "pytest-artisan"


def enrich(component: Component, release: Release, hashes: Iterable[str]) -> None:
    """Say of what cyclonedx-py called `component` all that is known of the release."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.contact import OrganizationalEntity
    from packageurl import PackageURL

    component.name = release[0]
    component.purl = PackageURL("pypi", name=release[0], version=release[1])
    # What cyclonedx-py has here tells of lines of its input, which nobody else sees.
    component.bom_ref.value, component.description = str(component.purl), None
    declared = declared_by(release)
    component.supplier = OrganizationalEntity(name=declared.supplier)
    component.licenses = declared.licences
    known = _hashes_of(hashes)
    # Of several files nobody knows which one was installed, and so none of the hashes is the component's own. All stand at
    # the index's page, as cyclonedx-py puts them: the validator takes 10 ms for an address, and a release has 50 files.
    component.hashes = known if len(known) == 1 else []
    page = XsUri(f"https://pypi.org/simple/{release[0]}/")
    files = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=page, hashes=known)
    component.external_references = [files] if len(known) > 1 else []


def _hashes_of(texts: Iterable[str]) -> list[HashType]:
    """Those that CycloneDX has a word for."""
    from cyclonedx.contrib.hash.factories import HashTypeFactory
    from cyclonedx.exception.model import UnknownHashTypeException

    known = []
    for algorithm, _, content in (text.partition(":") for text in sorted(set(texts))):
        with suppress(UnknownHashTypeException):
            known.append(HashTypeFactory().from_hashlib_alg(algorithm, content.lower()))
    return known


def model_of(checkpoint: Checkpoint) -> Component:
    """A checkpoint as CycloneDX has it."""
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from packageurl import PackageURL

    # Nothing but its content tells one version of a checkpoint from another.
    version = f"sha256:{checkpoint.sha256}"
    folder, _, file = checkpoint.path.rpartition("/")
    purl = PackageURL("generic", namespace=folder or None, name=file, version=version)
    properties = {"format": checkpoint.kind, "size_bytes": str(checkpoint.size_bytes)}
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=checkpoint.path,
        version=version,
        purl=purl,
        bom_ref=str(purl),
        supplier=OrganizationalEntity(name=NOASSERTION),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checkpoint.sha256)],
        properties=[Property(name=f"{TOOL}:{name}", value=value) for name, value in properties.items()],
    )
