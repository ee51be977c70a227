"""A real Prometheus on loopback that scrapes what it is told to, and one that answers what a test has written."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from pytest_artisan.loopback import HOST, bound, served
from pytest_artisan.release.prometheus import Prometheus, Sample

SCRAPE_S = 1.0
# Its discovery alone ticks every 5 s before the first scrape.
_START_S, _STOP_S, _TICK_S = 40.0, 5.0, 0.1
_CONFIG = """\
global: {{ scrape_interval: {scrape_s:g}s, scrape_timeout: {scrape_s:g}s }}
scrape_configs:
  - job_name: under_test
    file_sd_configs: [{{ files: [{targets}], refresh_interval: 1s }}]
"""


class House:
    """A running server at `url`. Its targets, with their labels, may change while it runs."""

    def __init__(self, url: str, targets: Path) -> None:
        self.url, self._targets = url, targets
        self.prometheus = Prometheus(url, timeout_s=5)

    def scrape(self, targets: Mapping[str, Mapping[str, str]]) -> None:
        """Scrape these base URLs from now on, each with labels of its own."""
        groups = [{"targets": [url.removeprefix("http://")], "labels": dict(own)} for url, own in targets.items()]
        fresh = self._targets.with_suffix(".new")
        fresh.write_text(json.dumps(groups), encoding="utf-8")
        fresh.replace(self._targets)

    def until(self, promql: str, holds: Callable[[tuple[Sample, ...]], bool], within_s: float = _START_S) -> None:
        """Wait for what a query answers."""
        deadline = time.monotonic() + within_s
        while not holds(answer := self.prometheus.query(promql)):
            assert time.monotonic() < deadline, f"{promql} is still {answer}"
            time.sleep(_TICK_S)

    def until_scraped(self, times: int = 2) -> None:
        """Wait until every target has been scraped so often."""
        enough = f"min(count_over_time(up[1h])) >= {times} and min(up) == 1"
        self.until(enough, bool)


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, Mapping[str, str]]) -> Iterator[House]:
    """Debian's Prometheus on a free port, its data in `folder`; it scrapes every second, and ends with the block.

    Skips where it is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no Prometheus server is installed")
    listed, config = folder / "targets.json", folder / "prometheus.yml"
    config.write_text(_CONFIG.format(scrape_s=SCRAPE_S, targets=json.dumps(str(listed))), encoding="utf-8")
    with bound() as listener:
        address = f"{HOST}:{listener.getsockname()[1]}"
    house = House(f"http://{address}", listed)
    house.scrape(targets)
    # What ends this process ends it, too: it is not left behind by a test that was killed.
    command = ["setpriv", "--pdeathsig", "TERM", program] if shutil.which("setpriv") else [program]
    command += [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, "--log.level=warn"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _await_ready(house.url, process, folder / "prometheus.log")
            yield house
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    with httpx2.Client(trust_env=False) as client:
        while True:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "Prometheus did not get ready"
            try:
                if client.get(f"{url}/-/ready").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.02)


def vector(*samples: tuple[Mapping[str, str], float | str], at: float) -> dict[str, Any]:
    """The body of a successful instant query."""
    result = [{"metric": dict(labels), "value": [at, str(value)]} for labels, value in samples]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def matrix(*series: tuple[Mapping[str, str], Sequence[tuple[float, float | str]]]) -> dict[str, Any]:
    """The body of a successful range query."""
    result = [
        {"metric": dict(labels), "values": [[at, str(value)] for at, value in points]} for labels, points in series
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


# What a scripted server answers: the name of the API ("query" or "query_range") and its parameters come in; a status,
# the body, as JSON where it is a dict, and further headers come out.
Script = Callable[[str, Mapping[str, str]], tuple[int, Any, Mapping[str, str]]]


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    """The URL of a server on loopback that answers by a script."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})
            return
        asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        status, body, headers = script(scope["path"].rpartition("/")[2], asked)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"content-type": "application/json", "content-length": str(len(content)), **headers}
        listed = [(name.encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": listed})
        await send({"type": "http.response.body", "body": content})

    with served(app) as url:
        yield url
