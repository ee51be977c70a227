"""A project whose gate security answers GO within a tenth of a second."""

from __future__ import annotations

from datetime import UTC, datetime

from osv_records import GROUND, written

from conftest import Project
from pytest_artisan.cli import main

# For the policy: what is audited, and by what.
SECURITY = 'security = { files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1 }'
# Nine tenths of the gate's time go into its SBOM, which has tests of its own.
_WITHOUT_A_BILL = """
import pytest
from pytest_artisan.gates.auditing import components
from pytest_artisan.verdict.evidence import measured
patch = pytest.MonkeyPatch()
def pytest_configure():
    patch.setattr(components, "components", lambda *_: measured("SBOM components", 1, unit="count", at_least=1))
def pytest_unconfigure():
    patch.undo()
"""


def make_sound(project: Project) -> None:
    """Give the project in this folder one pin, and a small snapshot that holds nothing against it."""
    now = datetime.now(UTC)
    written(project.path / "records.jsonl", *({**one, "modified": now.isoformat()} for one in GROUND))
    assert main(["audit", "import", "records.jsonl", "--into", "advisories"]) == 0
    project.write("requirements.txt", "clean==1\n")
    project.write("conftest.py", _WITHOUT_A_BILL)
