"""`artisan verify`: whether a signed verdict lets what lies here be deployed."""

from __future__ import annotations

import argparse
from datetime import UTC
from pathlib import Path

import msgspec

from pytest_artisan.commands import GO, Commands
from pytest_artisan.commands.arguments import percent
from pytest_artisan.release.attestation.attested import DigestOf, Refused, Wanted
from pytest_artisan.release.environments import NAMES, Name
from pytest_artisan.settings import one_line, project_root


def add(commands: Commands) -> None:
    verify = commands.add_parser("verify", help="whether a signed verdict lets what lies here be deployed")
    verify.add_argument("verdict", type=Path, help="a file .intoto.json, as --artisan-report writes it")
    verify.add_argument("--env", required=True, choices=NAMES, help="where it is to be deployed")
    verify.add_argument("--version", default="", help="as which release, such as v2.1.0")
    verify.add_argument("--stage", type=percent, metavar="PERCENT", help="as which stage of a canary (default: all)")
    verify.add_argument("--json", action="store_true", help="the answer as JSON")
    add_keys(verify)
    verify.set_defaults(run=_verify)


def add_keys(command: argparse.ArgumentParser) -> None:
    """The option `--key`, whose signatures count."""
    command.add_argument(
        "--key", type=Path, action="append", default=[], metavar="FILE", help="a public key, instead of those of main"
    )


def policies_of(root: Path) -> DigestOf:
    """What the policies of the project at `root` ask; that of a hotfix as main has it: no branch makes itself a smaller one."""

    def digest_of(environment: Name, policy: str) -> str:
        if not policy:
            from pytest_artisan.policy import load_policy

            return load_policy(root, None, environment).digest
        from pytest_artisan.commands.hotfix import digest_at_main  # and with it all that makes a release
        from pytest_artisan.release.train.branch import main_of

        return digest_at_main(root, environment, main_of(root))

    return digest_of


def _verify(options: argparse.Namespace) -> int:
    from pytest_artisan.release.attestation.verifying import verify

    root = project_root(Path.cwd())
    wanted = Wanted(environment=options.env, version=options.version, stage=options.stage)
    try:
        found = verify(root, options.verdict, wanted, options.clock(), policies_of(root), options.key)
    except Refused as error:
        if not options.json:
            raise
        print(msgspec.json.encode({"go": False, "check": error.check.name.lower(), "why": str(error)}).decode())
        return error.status
    if options.json:
        print(msgspec.json.encode({"go": True, **msgspec.structs.asdict(found)}).decode())
    else:
        named = f"{found.version or found.commit[:12]}{' as a hotfix' if found.kind == 'hotfix' else ''}"
        until = f"{found.expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        print(one_line(f"GO: {named} to {found.environment}, until {until}, sha256:{found.digest}"))
    return GO
