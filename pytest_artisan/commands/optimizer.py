"""`artisan evolve`, `artisan moga-stability`: formulas, and how steady the optimizer is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from pytest_artisan.commands import GO, NO_GO, Commands, arguments
from pytest_artisan.gates.tables import MogaStability
from pytest_artisan.policy import load_policy
from pytest_artisan.settings import SettingsError, convert, project_root
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import describe


def add(commands: Commands) -> None:
    evolve = commands.add_parser("evolve", help="formulas for a brief, within IFRA's limits")
    evolve.add_argument("--brief", required=True, help='such as "60%% woody, 40%% citrus, no oakmoss"')
    evolve.add_argument("--ingredients", type=Path, help="a CSV file; default: the packaged materials")
    evolve.add_argument("--category", default="4", help="of the finished product, by IFRA; default: 4, fine fragrance")
    evolve.add_argument("--dosage", type=float, default=20.0, help="per cent of the concentrate in it; default: 20")
    evolve.add_argument(
        "--unlisted-limit", type=arguments.percent, help="per cent of the product, for what nobody states a limit"
    )
    evolve.add_argument("--generations", type=arguments.count, default=150)
    evolve.add_argument("--seed", type=arguments.seed, default=0)
    evolve.set_defaults(run=_evolve)
    stability = commands.add_parser("moga-stability", help="run one seed of an optimizer again, and check it")
    stability.add_argument("subject", help="package.module:factory")
    stability.add_argument("--seed", type=arguments.seed, required=True)
    stability.add_argument("--iterations", type=arguments.count, required=True)
    stability.set_defaults(run=_check_stability)


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
