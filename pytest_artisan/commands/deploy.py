"""`artisan deploy`: what moves traffic."""

from __future__ import annotations

from pytest_artisan.commands import Commands, deploy_blue_green, deploy_canary


def add(commands: Commands) -> None:
    parser = commands.add_parser("deploy", help="bring a version or a flag to users, and back where it does harm")
    ways = parser.add_subparsers(required=True, metavar="WAY")
    for way in (deploy_canary, deploy_blue_green):
        way.add(ways)
