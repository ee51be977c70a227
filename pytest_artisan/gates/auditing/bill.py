"""The bill of a project's materials (SBOM), made by cyclonedx-py, enriched and checked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from pytest_artisan.audit.audit import Audit
from pytest_artisan.audit.inventory import Inventory, NoAudit
from pytest_artisan.audit.matching import version_of
from pytest_artisan.audit.sbom.checkpoints import read_checkpoints
from pytest_artisan.audit.sbom.checks import Version, faults_of
from pytest_artisan.audit.sbom.cleaning import cleaned
from pytest_artisan.audit.sbom.root import root_of
from pytest_artisan.gates.gate import Project
from pytest_artisan.tools import run
from pytest_artisan.verdict.evidence import NoEvidence

_TOOL, _TIMEOUT_S = "cyclonedx-py", 60
_LONGEST = 200  # characters of the tool's complaint


def sbom_of(
    project: Project,
    audited: Audit,
    inventory: Inventory,
    *,
    version: Version,
    models: Sequence[str],
    now: datetime,
) -> str:
    """The SBOM as JSON, checked; `models` are files and folders of checkpoints below the project's root.

    Equal input, `now` included, gives an equal text. Raises NoEvidence where it can not be made or is not sound.
    """
    from pytest_artisan.audit.sbom.document import document_of

    releases = {(pin.name, pin.version) for pin in inventory.pins}
    if releases != {(one.pin.name, one.pin.version) for one in audited.dependencies}:
        raise NoEvidence("the SBOM can not be made: other pins were audited than the inventory has")
    try:
        checkpoints = read_checkpoints(project.root, models)
        text = document_of(
            _base(releases, version, project.root),
            audited,
            inventory,
            root=root_of(project.root, project.pyproject, inventory),
            checkpoints=checkpoints,
            version=version,
            now=now,
        )
    except NoAudit as error:
        raise NoEvidence(f"the SBOM can not be made: {cleaned(str(error))}") from None
    for fault in faults_of(text, inventory, version, checkpoints):
        raise NoEvidence(f"the SBOM is not sound: {fault}")
    return text


def _base(releases: set[tuple[str, str]], version: Version, cwd: Path) -> str:
    """What cyclonedx-py says of the pins. Raises NoEvidence."""
    lines = [f"{name}{'==' if version_of(pinned) else '==='}{pinned}\n" for name, pinned in sorted(releases)]
    # Its own validation takes seconds, and is of less than what is handed out in the end.
    options = ["--no-validate", "--output-reproducible", "--of", "JSON", "--sv", version]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            run, _TOOL, ["requirements", "-", *options], cwd=cwd, timeout_s=_TIMEOUT_S, stdin="".join(lines)
        )
        # Half of the time of a bill is this import's.
        import cyclonedx.validation.json  # noqa: F401
    told = answer.result()
    if told.status != 0:
        complaint = cleaned(told.stderr.strip().rpartition("\n")[2])[:_LONGEST]
        raise NoEvidence(f"the SBOM can not be made: {_TOOL} ended with status {told.status}: {complaint}")
    return told.stdout
