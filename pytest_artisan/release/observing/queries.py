"""What Prometheus is asked about those who have got a change: by default, in the names of the Artisan service."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Annotated

from msgspec import Meta

from pytest_artisan.settings import Table

_PromQL = Annotated[str, Meta(min_length=1)]
_COHORT = 'flag="$flag",on="$on"'
# Without probes and scrapes, which always do well, and what does not exist.
_SLOT = 'slot="$slot",route!~"/metrics|/health.*|unknown"'


class Queries(Table, frozen=True):
    """PromQL about the users to whom `$flag` says `$on`: `[tool.artisan.canary.queries]`.

    Counters as they are, without a rate. Each is one series, but for `requests`, one for each process that counts, and
    `durations`, one for each `le` of a histogram in seconds. `scraped`: when the oldest of them was read, in Unix seconds.
    `recent`: what `durations` gained in half an hour, of those who are the baseline.
    """

    # A process that says nothing of the flag has told it to nobody. One that is read twice, so that all would count
    # double, is an error of the join, and one that began anew has another label.
    requests: _PromQL = (
        f"sum by (instance) (artisan_cohort_requests_total{{{_COHORT}}})"
        " * on (instance) group_left (started) artisan_build_info"
        " or sum by (instance, started) (artisan_build_info) * 0"
    )
    errors: _PromQL = f"sum(artisan_cohort_errors_total{{{_COHORT}}})"
    durations: _PromQL = f"sum by (le) (artisan_cohort_duration_seconds_bucket{{{_COHORT}}})"
    ratings: _PromQL = f"sum(artisan_cohort_rating_count{{{_COHORT}}})"
    rating_sum: _PromQL = f"sum(artisan_cohort_rating_sum{{{_COHORT}}})"
    schema_failures: _PromQL = f"sum(artisan_cohort_schema_failures_total{{{_COHORT}}})"
    # Nothing while one that has counted can not be read: it may be down.
    scraped: _PromQL = (
        "min(timestamp(artisan_build_info)) unless on ()"
        f" (up == 0 and on (instance) max_over_time(artisan_cohort_requests_total{{{_COHORT}}}[30m]))"
    )
    recent: _PromQL = f"sum by (le) (increase(artisan_cohort_duration_seconds_bucket{{{_COHORT}}}[30m]))"

    def filled(self, values: Mapping[str, str]) -> dict[str, str]:
        """The queries by name, with a value for what begins with a dollar sign; any other one stays as it is."""
        return {name: Template(getattr(self, name)).safe_substitute(values) for name in self.__struct_fields__}


class SlotQueries(Queries, frozen=True):
    """The same about the service in `$slot`, a label that whoever scrapes gives it: `[tool.artisan.blue_green.queries]`."""

    requests: _PromQL = (
        f"sum by (instance) (http_requests_total{{{_SLOT}}})"
        ' * on (instance) group_left (started) artisan_build_info{slot="$slot"}'
        ' or sum by (instance, started) (artisan_build_info{slot="$slot"}) * 0'
    )
    errors: _PromQL = (
        f'sum(http_requests_total{{{_SLOT},status=~"5.."}}) or sum(artisan_build_info{{slot="$slot"}}) * 0'
    )
    durations: _PromQL = f"sum by (le) (http_request_duration_seconds_bucket{{{_SLOT}}})"
    ratings: _PromQL = 'sum(artisan_user_rating_count{slot="$slot"})'
    rating_sum: _PromQL = 'sum(artisan_user_rating_sum{slot="$slot"})'
    schema_failures: _PromQL = 'sum(artisan_brief_schema_failures_total{slot="$slot"})'
    # Nothing while one of them can not be read; what ran there before was stopped.
    scraped: _PromQL = 'min(timestamp(artisan_build_info{slot="$slot"})) unless on () up{slot="$slot"} == 0'
    recent: _PromQL = f"sum by (le) (increase(http_request_duration_seconds_bucket{{{_SLOT}}}[30m]))"
