"""`artisan serve`, `artisan models`: the service and its local models."""

from __future__ import annotations

import argparse

from pytest_artisan.commands import GO, Commands, arguments
from pytest_artisan.release.environments import NAMES


def add(commands: Commands) -> None:
    serve = commands.add_parser("serve", help="the service: from a wish to DNA, to options, to feedback")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=arguments.seed, default=8000, help="0 takes a free one; default: 8000")
    serve.add_argument("--workers", type=arguments.count, default=1, help="processes; default: 1")
    serve.add_argument("--database", metavar="URL", help="default: the environment's own")
    serve.add_argument("--env", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    serve.add_argument("--watch-stdin", action="store_true", help="end when standard input does")
    serve.set_defaults(run=_serve)
    models = commands.add_parser("models", help="the local reference models")
    local = models.add_subparsers(required=True, metavar="COMMAND").add_parser("serve", help="over OpenAI's HTTP API")
    local.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine alone")
    local.add_argument("--port", type=arguments.port, default=8001, help="default: 8001; 0 takes a free one")
    local.add_argument("--seed", type=arguments.seed, default=0)
    local.add_argument("--latency-ms", type=float, default=0.0, metavar="MEDIAN", help="added to every answer")
    local.add_argument("--fault", action="append", default=[], metavar="MODEL=KIND[:PROBABILITY]")
    local.add_argument("--watch-stdin", action="store_true", help="end when standard input ends")
    local.set_defaults(run=_serve_models)


def _serve(options: argparse.Namespace) -> int:
    from pytest_artisan.service.running import Serving, serve

    if options.watch_stdin:
        from pytest_artisan.loopback import end_with_parent  # and with it asyncio

        end_with_parent()
    serve(Serving(options.host, options.port, options.workers, options.database, options.env))
    return GO


def _serve_models(options: argparse.Namespace) -> int:
    from pytest_artisan.ensemble.local.serving import serve

    return serve(options)
