"""`artisan audit`, `artisan sbom`: the gate security, outside of a session."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from pytest_artisan.commands import GO, NO_GO, Commands
from pytest_artisan.files import write_atomically
from pytest_artisan.gates.tables import Security
from pytest_artisan.policy import Policy, load_policy
from pytest_artisan.release.secrets import Masker
from pytest_artisan.settings import SettingsError, convert, one_line, project_root
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State


def add(commands: Commands) -> None:
    audit = commands.add_parser("audit", help="known vulnerabilities of what is installed, as the gate security has it")
    audit.add_argument("--format", choices=("text", "json", "md", "sarif"), default="text")
    audit.set_defaults(run=_audit)
    sbom = commands.add_parser(
        "sbom", help="what is installed, in CycloneDX; with vulnerabilities where a source is named"
    )
    sbom.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    sbom.add_argument("--spec-version", choices=("1.6", "1.7"), help="of CycloneDX; default: the policy's")
    sbom.set_defaults(run=_sbom)
    for command in (audit, sbom):
        command.add_argument("files", nargs="*", metavar="FILE", help="default: the policy's; environment is one, too")
        command.add_argument("--snapshot", help="imported advisories; default for all three sources: the policy's")
        command.add_argument("--osv-url", help="a service that speaks OSV's API")
        command.add_argument("--pip-audit", action="store_true", help="pip-audit, by PyPI or the service of --osv-url")
    fetch = commands.add_parser("audit import", help="make a snapshot of advisories in OSV's format")
    fetch.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="JSON, JSONL, .gz, .zip or a folder")
    fetch.add_argument("--into", type=Path, default=Path(".artisan/advisories"), help="default: %(default)s")
    fetch.set_defaults(run=_import_advisories)


def _audit(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.auditing.command import audit_files

    policy = load_policy(project_root(Path.cwd()))
    table = _security(policy, options, "artisan audit")
    is_part = bool(options.files)
    state, text = audit_files(policy.project, table, options.format, options.clock(), is_part=is_part)
    print(Masker(policy.environment.secrets.values()).text(text))
    return GO if state is State.GO else NO_GO


def _sbom(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.auditing.command import sbom_of_files

    policy = load_policy(project_root(Path.cwd()))
    table = _security(policy, options, "artisan sbom")
    try:
        text = sbom_of_files(policy.project, table, options.clock())
    except NoEvidence as error:
        print(f"NO-EVIDENCE {one_line(str(error))}", file=sys.stderr)
        return NO_GO
    if options.output is None:
        print(text, end="")
        return GO
    try:
        write_atomically(options.output, text)
    except OSError as error:
        raise SettingsError(f"--output={options.output}: {error.strerror}") from None
    return GO


def _security(policy: Policy, options: argparse.Namespace, where: str) -> Security:
    """The policy's table with what the command line says instead; sources that are named there are the only ones."""
    table = msgspec.to_builtins(policy.tables["security"])
    if options.files:
        table["files"] = [os.path.abspath(f) if Path(f).exists() else f for f in options.files]
    if options.snapshot is not None or options.osv_url is not None or options.pip_audit:
        table["snapshot"] = options.snapshot and os.path.abspath(options.snapshot)
        table |= {"osv_url": options.osv_url, "pip_audit": options.pip_audit}
    if getattr(options, "spec_version", None):
        table["sbom_version"] = options.spec_version
    return convert(table, Security, where)


def _import_advisories(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.auditing.command import import_into

    table = load_policy(project_root(Path.cwd())).tables["security"]
    assert isinstance(table, Security)
    print(import_into(options.sources, options.into, table, options.clock()))
    return GO
