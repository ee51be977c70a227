"""The command `artisan`: what is not a test session."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pytest_artisan.files import write_atomically
from pytest_artisan.gates.gate import NoEvidence
from pytest_artisan.gates.tables import LoadSmoke, MogaStability, Security
from pytest_artisan.loopback import end_with_parent
from pytest_artisan.policy import Policy, load_policy
from pytest_artisan.release import baselines
from pytest_artisan.release.environments import NAMES, Environment, get_config, url_complaints
from pytest_artisan.release.secrets import Masker
from pytest_artisan.reports import terminal
from pytest_artisan.reports.machine import Document
from pytest_artisan.reports.publish import RENDERERS, publish
from pytest_artisan.settings import SettingsError, convert, one_line, project_root, read_json
from pytest_artisan.verdict.decide import decide
from pytest_artisan.verdict.judge import State, describe

GO, NO_GO, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is GO or done, 1 is NO-GO, 2 is bad input and 130 Ctrl-C, each told in one line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:2] == ["audit", "import"]:
        # Beside `audit FILE`, where it would be a file.
        given[:2] = ["audit import"]
    options = _parser().parse_args(given)
    try:
        status: int = options.run(options)
    except SettingsError as error:
        print(f"artisan: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("artisan: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="artisan", description="Release gates: what is not a test session.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="rebuild the verdict of a session from its journal")
    report.add_argument("journal", type=Path)
    report.add_argument("--output", type=Path, action="append", default=[], help=f"a file: {', '.join(RENDERERS)}")
    report.set_defaults(run=_report)
    baseline = commands.add_parser("baseline", help="what --regression compares with")
    save = baseline.add_subparsers(required=True, metavar="COMMAND").add_parser("save", help="record a verdict")
    save.add_argument("verdict", type=Path, help="the JSON report of a session that ended in GO")
    save.set_defaults(run=_save_baseline)
    env = commands.add_parser("env", help="the environments")
    show = env.add_subparsers(required=True, metavar="COMMAND").add_parser("show", help="one, with its secrets masked")
    show.add_argument("name", nargs="?", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    show.set_defaults(run=_show_environment)
    _add_moga(commands)
    _add_load(commands)
    _add_audit(commands)
    _add_models(commands)
    _add_serve(commands)
    return parser


def _add_load(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    load = commands.add_parser("load-smoke", help="p95 and errors at a fixed rate of requests, as the gate has it")
    load.add_argument("--rps", type=float, help="requests a second; default for all of these: the policy's")
    load.add_argument("--duration", type=_duration, help="seconds, or such as 2min")
    load.add_argument("--p95-threshold", type=float, metavar="MS", help="the highest p95 in milliseconds")
    load.add_argument("--locustfile", help="what is sent, a path below the project's root")
    load.add_argument("--url", help="a service; without a locustfile in the policy or here, the address to GET")
    load.add_argument("--env", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    load.add_argument("--regression", action="store_true", help="compare with the environment's baseline")
    load.add_argument("--format", choices=("text", "json"), default="text")
    load.set_defaults(run=_load_smoke)


def _add_audit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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


def _duration(text: str) -> str:
    return f"{text}s" if text.replace(".", "", 1).isdigit() else text


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="the service: from a wish to DNA, to options, to feedback")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_seed, default=8000, help="0 takes a free one; default: 8000")
    serve.add_argument("--workers", type=_count, default=1, help="processes; default: 1")
    serve.add_argument("--database", metavar="URL", help="default: the environment's own")
    serve.add_argument("--env", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    serve.add_argument("--watch-stdin", action="store_true", help="end when standard input does")
    serve.set_defaults(run=_serve)


def _add_moga(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evolve = commands.add_parser("evolve", help="formulas for a brief, within IFRA's limits")
    evolve.add_argument("--brief", required=True, help='such as "60%% woody, 40%% citrus, no oakmoss"')
    evolve.add_argument("--ingredients", type=Path, help="a CSV file; default: the packaged materials")
    evolve.add_argument("--category", default="4", help="of the finished product, by IFRA; default: 4, fine fragrance")
    evolve.add_argument("--dosage", type=float, default=20.0, help="per cent of the concentrate in it; default: 20")
    evolve.add_argument(
        "--unlisted-limit", type=_percent, help="per cent of the product, for what nobody states a limit"
    )
    evolve.add_argument("--generations", type=_count, default=150)
    evolve.add_argument("--seed", type=_seed, default=0)
    evolve.set_defaults(run=_evolve)
    stability = commands.add_parser("moga-stability", help="run one seed of an optimizer again, and check it")
    stability.add_argument("subject", help="package.module:factory")
    stability.add_argument("--seed", type=_seed, required=True)
    stability.add_argument("--iterations", type=_count, required=True)
    stability.set_defaults(run=_check_stability)


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="the local reference models")
    serve = models.add_subparsers(required=True, metavar="COMMAND").add_parser("serve", help="over OpenAI's HTTP API")
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine alone")
    serve.add_argument("--port", type=_port, default=8001, help="default: 8001; 0 takes a free one")
    serve.add_argument("--seed", type=_seed, default=0)
    serve.add_argument("--latency-ms", type=float, default=0.0, metavar="MEDIAN", help="added to every answer")
    serve.add_argument("--fault", action="append", default=[], metavar="MODEL=KIND[:PROBABILITY]")
    serve.add_argument("--watch-stdin", action="store_true", help="end when standard input ends")
    serve.set_defaults(run=_serve_models)


def _seed(text: str) -> int:
    return _above(int(text), -1)


def _count(text: str) -> int:
    return _above(int(text), 0)


def _port(text: str) -> int:
    number = _above(int(text), -1)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{text} is above 65535")
    return number


def _percent(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 100")
    return number


def _above(number: int, bound: int) -> int:
    if number <= bound:
        raise argparse.ArgumentTypeError(f"{number} is not above {bound}")
    return number


def _report(options: argparse.Namespace) -> int:
    for path in options.output:
        if path.suffix not in RENDERERS:
            raise SettingsError(f"--output={path}: unknown suffix; known: {', '.join(RENDERERS)}")
    from pytest_artisan.ledger import replay  # and with it pytest, which no other command needs

    verdict = decide(*replay(options.journal))
    print(terminal.text_of(verdict))
    for text in publish(verdict, options.output).values():
        raise SettingsError(text)
    return GO if verdict.go else NO_GO


def _save_baseline(options: argparse.Namespace) -> int:
    document: Document = read_json(options.verdict, Document, f"{options.verdict}: no JSON report")
    verdict = document.verdict
    if not verdict.go:
        raise SettingsError(f"{options.verdict}: the verdict is NO-GO, so it is no baseline")
    measurements = [m for gate in verdict.gates for m in gate.measurements]
    root = project_root(Path.cwd())
    path = baselines.save(root, verdict.environment, measurements, partial=bool(verdict.partial))
    print(f"{path}: {len(measurements)} measurements for {verdict.environment}")
    return GO


def _show_environment(options: argparse.Namespace) -> int:
    environment = get_config(options.name)
    print("\n".join(_lines(environment)))
    return GO


def _evolve(options: argparse.Namespace) -> int:
    # numpy, and with it this room, is imported where it is used.
    from pytest_artisan.fragrance.brief import parse_brief
    from pytest_artisan.fragrance.evolution import evolve
    from pytest_artisan.fragrance.ingredients import load_catalogue
    from pytest_artisan.fragrance.limits import Product
    from pytest_artisan.fragrance.showing import front_lines

    catalogue = load_catalogue(options.ingredients)
    if catalogue.remarks:
        print(
            f"artisan: {len(catalogue.remarks)} rows not taken as they stand: {catalogue.remarks[0]}", file=sys.stderr
        )
    brief = parse_brief(options.brief, catalogue, Product(options.category, options.dosage))
    formulas = evolve(
        brief,
        catalogue,
        seed=options.seed,
        generations=options.generations,
        unlisted_limit=options.unlisted_limit,
    )
    print("\n".join(front_lines(formulas, catalogue, brief)))
    return GO


def _load_smoke(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.loading import command
    from pytest_artisan.gates.loading.evidence import NotAllowed

    for complaint in url_complaints("--url", options.url) if options.url else ():
        raise SettingsError(complaint)
    policy = load_policy(project_root(Path.cwd()), environment=options.env)
    given = {"rps": options.rps, "duration": options.duration, "p95_ms": options.p95_threshold}
    table = {**msgspec.to_builtins(policy.tables["load_smoke"]), **{k: v for k, v in given.items() if v is not None}}
    if options.url or options.locustfile:
        # An address is what to GET, unless it is said what else is to be sent there.
        table["locustfile"] = options.locustfile
    limits = convert(table, LoadSmoke, "artisan load-smoke")
    environment = policy.environment
    if limits.locustfile is not None and not environment.allow_writes:
        raise SettingsError(f"{environment.env}: a locustfile may write, and allow_writes is false")
    recorded = baselines.load(policy.project.root, environment.env) if options.regression else None
    try:
        state = command.load_smoke(policy.project, limits, options.url, recorded, options.format)
    except NotAllowed as error:
        raise SettingsError(str(error)) from None
    except NoEvidence as error:
        command.no_evidence(error, options.format)
        return NO_GO
    return GO if state is State.GO else NO_GO


def _audit(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.auditing.command import audit_files

    policy = load_policy(project_root(Path.cwd()))
    table = _security(policy, options, "artisan audit")
    is_part = bool(options.files)
    state, text = audit_files(policy.project, table, options.format, datetime.now(UTC), is_part=is_part)
    print(Masker(policy.environment.secrets.values()).text(text))
    return GO if state is State.GO else NO_GO


def _sbom(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.auditing.command import sbom_of_files

    policy = load_policy(project_root(Path.cwd()))
    table = _security(policy, options, "artisan sbom")
    try:
        text = sbom_of_files(policy.project, table, datetime.now(UTC))
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
    print(import_into(options.sources, options.into, table, datetime.now(UTC)))
    return GO


def _serve_models(options: argparse.Namespace) -> int:
    from pytest_artisan.ensemble.local.serving import serve

    return serve(options)


def _check_stability(options: argparse.Namespace) -> int:
    from pytest_artisan.gates.stability import evidence
    from pytest_artisan.gates.subjects import load_factory

    policy = load_policy(project_root(Path.cwd()))
    limits = {**msgspec.to_builtins(policy.tables["moga_stability"]), "subject": options.subject}
    table = convert(limits, MogaStability, "artisan moga-stability")
    try:
        factory = load_factory(options.subject, Path.cwd())
        shown = evidence.of_seed(factory, options.seed, options.iterations, table, policy.project)
    except NoEvidence as error:
        raise SettingsError(str(error)) from None
    for measurement in shown.measurements:
        print(describe(measurement))
    for finding in shown.findings:
        print(f"{finding.path}:{finding.line}: {finding.message}")
    return NO_GO if shown.findings else GO


def _serve(options: argparse.Namespace) -> int:
    from pytest_artisan.service.running import Serving, serve

    if options.watch_stdin:
        end_with_parent()
    serve(Serving(options.host, options.port, options.workers, options.database, options.env))
    return GO


def _lines(environment: Environment) -> list[str]:
    """Every setting as `key = value`; of a secret its reference, and whether it is set."""
    plain = msgspec.to_builtins(environment.table)
    lines = [f"env = {environment.env}", f"allow_writes = {str(environment.allow_writes).lower()}"]
    for table, settings in plain.items():
        if isinstance(settings, dict):
            lines += [f"{table}.{key} = {value}" for key, value in settings.items() if not key.endswith("_env")]
        elif table != "allow_writes":
            lines.append(f"{table} = {settings if settings is not None else '(not set)'}")
    for key, secret in environment.secrets.items():
        lines.append(f"{key.removesuffix('_env')} = {secret.masked()}")
    return lines
