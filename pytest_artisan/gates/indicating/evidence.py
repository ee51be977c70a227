"""All indicators of an environment against their limits: by its Prometheus, in dev also by the service itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

from pytest_artisan.gates.deployed.calls import service_of
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.indicating.asking import Asked
from pytest_artisan.gates.indicating.exposing import Window, exposed
from pytest_artisan.gates.indicating.judging import Answer, indicated
from pytest_artisan.gates.subjects import load_factory
from pytest_artisan.gates.tables import Kpi, Queries
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Measurement, NoEvidence


def of_kpis(project: Project, table: Kpi, url: str | None = None) -> CheckEvidence:
    """The indicators by the Prometheus at `url`, else by the environment's; without one, and in dev alone, by traffic.

    Raises NoEvidence where nobody can be asked; an indicator of which nothing is known has no data.
    """
    environment = project.environment
    server = url or environment.prometheus_url
    if server is not None:
        return CheckEvidence(tuple(_judged(table, Asked(server, table).answers)))
    if environment.env != "dev":
        raise NoEvidence(f"{environment.env}: prometheus_url is not set, so there is nobody to ask")
    if table.queries != Queries():
        raise NoEvidence("dev: prometheus_url is not set, and [tool.artisan.kpi.queries] are for Prometheus")
    if not environment.allow_writes:
        raise NoEvidence("dev: prometheus_url is not set, and without it the gate writes, which allow_writes forbids")
    window = _after_traffic(project, table)
    return CheckEvidence(tuple(_judged(table, lambda indicator: [window.answer(indicator)])))


def _after_traffic(project: Project, table: Kpi) -> Window:
    factory = load_factory(table.subject, project.root)
    with service_of(project) as service:
        before = exposed(service)
        try:
            factory()(service, table.min_requests)
        except Exception as error:
            raise NoEvidence(one_line(f"no traffic for {service}: {type(error).__name__}: {error}")) from error
        return Window(before, exposed(service))


def _judged(table: Kpi, answers: Callable[[str], Sequence[Answer]]) -> Iterator[Measurement]:
    # Two lines of the table are read from one indicator.
    answers = cache(answers)
    for one in indicated(table):
        try:
            yield one.of(answers(one.indicator))
        except NoEvidence as error:
            yield one.without(one_line(str(error)))
