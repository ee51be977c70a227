"""The gates: what each one needs, runs and forbids.

`Gate`, `Check`, `CheckEvidence`, `NoEvidence` and `Table` are the public names for a gate of your own.
"""

from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project
from pytest_artisan.settings import Table
from pytest_artisan.verdict.evidence import NoEvidence

__all__ = ["Check", "CheckEvidence", "Gate", "NoEvidence", "Project", "Table"]
