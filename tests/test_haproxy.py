"""Traffic by HAProxy: a real one under load, and every way in which it can not be asked or does not obey."""

from __future__ import annotations

import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest
from haproxy_house import PROGRAM, House, haproxy, installed
from hypothesis import given, settings
from hypothesis import strategies as st
from visitors import Visits, slots, visiting

from pytest_artisan.loopback import HOST, bound
from pytest_artisan.release.environments import resolve
from pytest_artisan.release.traffic import haproxy as module
from pytest_artisan.release.traffic.choosing import router_of
from pytest_artisan.release.traffic.haproxy import MOST_WEIGHT, HAProxy, order
from pytest_artisan.release.traffic.router import SLOTS, Slot
from pytest_artisan.release.traffic.shares import shares_of, weights_of
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

NAMES: Mapping[Slot, str] = {"blue": "blue", "green": "green"}
SERVERS = f"server blue {HOST}:1 weight 100\n  server green {HOST}:1 weight 0"
CURIOUS = f"""
backend static
  balance static-rr
  {SERVERS}
backend stream
  mode tcp
  balance roundrobin
  {SERVERS}
backend third
  balance roundrobin
  {SERVERS}
  server other {HOST}:1
backend spare
  balance roundrobin
  server blue {HOST}:1 weight 100
  server green {HOST}:1 weight 1 backup
"""
SHARES = (0, 0.5, 1, 5, 25, 33, 50, 99.5, 100)
# Just after a change HAProxy's next 200 requests are off by one, and by hundreds where weights changed twice in a round;
# how much depends on its place in the round, and so on the tests before. In a backend of its own, each share begins alike.
FRESH = "".join(
    f"backend be-{slot}-{percent}\n  balance roundrobin\n  {SERVERS}\n" for slot in SLOTS for percent in SHARES
)
Weights = st.tuples(st.integers(0, 256), st.integers(0, 256)).filter(any)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with slots() as (blue, green):
        fresh = FRESH.replace(f"blue {HOST}:1", f"blue {blue[7:]}").replace(f"green {HOST}:1", f"green {green[7:]}")
        with haproxy(blue, green, more=CURIOUS + fresh) as running:
            yield running


@pytest.fixture
def router(house: House) -> HAProxy:
    """One whose patience ends at once, where blue gets everything."""
    house.tell("; ".join(f"set server be/{slot} state ready" for slot in SLOTS))
    house.tell("set server be/blue weight 100; set server be/green weight 0")
    return HAProxy(str(house.socket), "be", NAMES, patience_s=0)


def fault(call: Callable[[], object], kind: type[Exception] = NoEvidence) -> str:
    with pytest.raises(kind) as raised:
        call()
    told = str(raised.value)
    assert told.isprintable()
    return told


@installed
@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("percent", SHARES)
def test_visitors_get_exactly_the_share_that_was_asked_for(house: House, slot: Slot, percent: float) -> None:
    router = HAProxy(str(house.socket), f"be-{slot}-{percent}", NAMES, patience_s=0)
    router.shift(slot, percent)
    assert router.weights()[slot] == percent
    assert sum(router.weights().values()) == 100
    visits = Visits(house.url, f"/{router.backend}")
    assert abs(visits.share(200)[slot] - 2 * percent) <= 1
    assert visits.share(200)[slot] == 2 * percent


@installed
def test_any_shifts_are_read_back_as_they_were_asked_for(router: HAProxy, house: House) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(SLOTS), st.integers(0, 200).map(lambda half: half / 2)), max_size=6))
    def check(shifts: list[tuple[Slot, float]]) -> None:
        for slot, percent in shifts:
            router.shift(slot, percent)
            told = house.tell("; ".join(f"get weight be/{name}" for name in ("blue", "green"))).split("\n\n")
            blue, green = (int(text.split()[0]) for text in told[:2])
            share = Fraction(blue if slot == "blue" else green, blue + green)
            assert share == Fraction(percent) / 100
            assert router.weights()[slot] == percent

    check()


@installed
def test_not_one_request_is_lost_over_24_switches(house: House, router: HAProxy) -> None:
    with visiting(house.url) as visits:
        for number in range(24):
            visits.wait(60)
            router.shift("green", (100, 0, 5, 50)[number % 4])
        visits.wait(60)
    assert visits.failed == []
    assert visits.sent == visits.answered.total() > 24 * 60
    assert min(visits.answered["blue"], visits.answered["green"]) > 200


@installed
def test_requests_that_are_being_answered_are_counted_and_finished() -> None:
    held, deadline = threading.Event(), time.monotonic() + 10
    with slots(held) as (blue, green), haproxy(blue, green) as house:
        router = HAProxy.of(house.traffic)
        with visiting(house.url, "/slow", connections=3) as visits:
            while router.in_flight("blue") < 3:
                assert time.monotonic() < deadline
            router.shift("green", 100)
            assert (router.in_flight("blue"), router.in_flight("green")) == (3, 0)
            assert Visits(house.url, "/").share(20) == {"green": 20}
            held.set()
            visits.wait(3)
            while router.in_flight("blue"):
                assert time.monotonic() < deadline
    assert visits.failed == []
    assert visits.answered["blue"] == 3


@installed
@pytest.mark.parametrize(
    ("commands", "slot", "expected"),
    [
        ("set server be/green state maint", "green", "server green is MAINT, so it gets no requests"),
        ("set server be/green state drain", "green", "server green is DRAIN, so it gets no requests"),
        ("set server be/blue state maint", "green", "server blue is MAINT, so it gets no requests"),
    ],
)
def test_a_server_that_can_not_get_requests_gets_none(
    house: House, router: HAProxy, commands: str, slot: Slot, expected: str
) -> None:
    house.tell(commands)
    before = house.tell("get weight be/blue; get weight be/green")
    assert expected in fault(lambda: router.shift(slot, 5))
    assert house.tell("get weight be/blue; get weight be/green") == before


@installed
@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ("set server be/blue weight 0", "blue and green both have the weight 0"),
        ("set server be/blue state maint", "server blue is MAINT, and has the weight 100"),
        (
            "set server be/green weight 9; set server be/green state drain",
            "server green is DRAIN, and has the weight 9",
        ),
    ],
)
def test_weights_that_are_no_shares_are_no_evidence(
    house: House, router: HAProxy, commands: str, expected: str
) -> None:
    house.tell(commands)
    assert expected in fault(router.weights)


@installed
def test_a_slot_that_gets_nothing_may_be_away(house: House, router: HAProxy) -> None:
    router.shift("green", 5)
    house.tell("set server be/green state maint")
    router.shift("blue", 100)
    assert router.weights() == {"blue": 100, "green": 0}


@installed
@pytest.mark.parametrize(
    ("backend", "names", "expected"),
    [
        ("nowhere", NAMES, "answers 'No such proxy.'"),
        ("be", {"blue": "blue", "green": "gruen"}, "has no server gruen for green; it has blue, green"),
        ("static", NAMES, "balances static-rr in mode http; weights are shares for roundrobin in mode http alone"),
        ("stream", NAMES, "balances roundrobin in mode tcp"),
        ("third", NAMES, "gives requests to other too, which is neither blue nor green"),
        ("spare", NAMES, "server green is a backup, and has the weight 1"),
    ],
)
def test_a_backend_whose_weights_are_no_shares_is_refused(
    house: House, backend: str, names: Mapping[Slot, str], expected: str
) -> None:
    router = HAProxy(str(house.socket), backend, names, patience_s=0)
    for call in (router.weights, lambda: router.shift("green", 50)):
        told = fault(call)
        assert told.startswith(f"HAProxy at {house.socket}, backend {backend}: ")
        assert expected in told or "is a backup, so it gets no requests" in told


@installed
@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("user", "shows too little to this socket, which needs the level admin"),
        ("operator", "refuses a weight: 'Permission denied Permission denied'"),
    ],
)
def test_a_socket_of_a_lower_level_changes_nothing(house: House, router: HAProxy, level: str, expected: str) -> None:
    lower = HAProxy(str(house.folder / level), "be", NAMES)
    assert expected in fault(lambda: lower.shift("green", 5))
    assert router.weights() == {"blue": 100, "green": 0}


@installed
def test_a_server_that_is_down_is_waited_for_and_gets_requests_once_it_is_up() -> None:
    with bound() as listener:
        port = listener.getsockname()[1]
    green = f"http://{HOST}:{port}"
    with slots() as (blue, _), haproxy(blue, green, server="check inter 20ms fastinter 20ms rise 1 fall 1") as house:
        router = HAProxy.of(house.traffic)
        deadline = time.monotonic() + 5
        while ",DOWN," not in house.tell("show stat be 4 -1"):
            assert time.monotonic() < deadline
        assert "server green is DOWN" in fault(lambda: HAProxy(router.socket, "be", NAMES, 0).shift("green", 5))
        assert Visits(house.url, "/").share(20)["blue"] == 20
        with ThreadPoolExecutor() as pool:
            shifting = pool.submit(router.shift, "green", 5)
            with bound(port):
                shifting.result(10)
                assert router.weights() == {"blue": 95, "green": 5}
        while ",DOWN," not in house.tell("show stat be 4 -1"):
            assert time.monotonic() < deadline
        assert "server green is DOWN, and has the weight 10" in fault(router.weights)


@installed
def test_a_server_that_starts_slowly_has_not_got_its_share_yet() -> None:
    with slots() as (blue, green), haproxy(blue, green, server="check inter 20ms rise 1 slowstart 60s") as house:
        house.tell("set server be/green state maint")
        house.tell("set server be/green state ready")
        router = HAProxy(str(house.socket), "be", NAMES, patience_s=0.2)
        told = fault(lambda: router.shift("green", 50))
        assert "server green works with " in told
        assert " of its weight 100" in told


@installed
def test_an_haproxy_of_a_killed_process_ends_with_it() -> None:
    program = (
        f"import os, sys; sys.path[:0] = {sys.path!r}\n"
        "from haproxy_house import haproxy\n"
        "with haproxy('http://127.0.0.1:1', 'http://127.0.0.1:1') as house:\n"
        "    print(house.folder, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder, deadline = Path(done.stdout.strip()), time.monotonic() + 10
    while folder.exists():
        assert time.monotonic() < deadline


# Whatever a socket may say, by one that is scripted.

HEAD = "# pxname,svname,qcur,scur,status,weight,bck,type,mode,algo,uweight,\n"


def stat(blue: str = "100", green: str = "0", status: str = "UP") -> str:
    rows = [f"be,{name},0,0,{status},{w},0,2,http,,{w}," for name, w in (("blue", blue), ("green", green))]
    return HEAD + "\n".join([*rows, "be,BACKEND,0,0,UP,100,0,1,http,roundrobin,100,"]) + "\n\n"


@contextmanager
def scripted(answer: Callable[[str], bytes]) -> Iterator[HAProxy]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            commands = self.rfile.readline().decode().strip()
            try:
                self.wfile.write(answer(commands))
            except OSError:
                return

    folder = Path(tempfile.mkdtemp(prefix="artisan-ha-", dir="/tmp"))
    with socketserver.ThreadingUnixStreamServer(str(folder / "s"), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield HAProxy(str(folder / "s"), "be", NAMES, patience_s=0)
        finally:
            server.shutdown()
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", "broke off its answer after ''"),
        (stat()[:-1].encode(), "broke off its answer after '# pxname,svname"),
        (stat()[: len(stat()) // 2].encode(), "broke off its answer after '# pxname"),
        (b"\n\n", "answers ''"),
        (b"Permission denied\n\n", "answers 'Permission denied'"),
        (b"<html><body>504</body></html>\n\n", "answers '<html>"),
        (bytes(range(256)) + b"\n\n", "answers "),
        (b"x" * (2 << 20), "its answer is longer than 1048576 bytes"),
        (b"x" * 200_000 + b"\n\n", "answers 'xxx"),
        (b"# type\n1,2\n2\n\n", "answers '# type 1,2 2'"),
        (HEAD.encode() + b"\n\n", "answers '# pxname"),
        (stat(blue="NaN").encode(), "answers '# pxname"),
        (stat(blue="").encode(), "answers '# pxname"),
        (stat().replace("bck", "kcb").encode(), "answers '# pxname"),
        (stat().replace("be,green", "be,blue").encode(), "has no server green for green; it has blue"),
    ],
)
def test_an_answer_that_nobody_can_read_is_no_evidence(answer: bytes, expected: str) -> None:
    with scripted(lambda commands: answer) as router:
        assert expected in fault(router.weights)
        assert expected in fault(lambda: router.in_flight("blue"))


def test_what_a_server_is_called_moves_no_cursor() -> None:
    with scripted(lambda commands: stat(status="DOWN\x1b[2J").encode()) as router:
        assert "server blue is DOWN [2J, and has the weight 100" in fault(router.weights)


def test_a_socket_that_says_nothing_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_S", 0.2)
    ended = threading.Event()

    def silent(commands: str) -> bytes:
        ended.wait(10)
        return b""

    with scripted(silent) as router:
        assert "can not be asked: timed out" in fault(router.weights)
        ended.set()


def test_a_router_that_does_not_obey_is_found_out() -> None:
    asked: list[str] = []

    def answer(commands: str) -> bytes:
        asked.append(commands)
        return b"\n\n" if commands.startswith("set") else stat().encode()

    with scripted(answer) as router:
        told = fault(lambda: router.shift("green", 1))
    assert "has the weights {'blue': 100, 'green': 0}, and was told {'blue': 198, 'green': 2}" in told
    assert asked[1:-1] == ["set server be/blue weight 198; set server be/green weight 2"]


def test_a_router_that_has_the_weights_is_told_nothing() -> None:
    def answer(commands: str) -> bytes:
        assert not commands.startswith("set")
        return stat(blue="199", green="1").encode()

    with scripted(answer) as router:
        router.shift("green", 0.5)
        assert router.weights() == {"blue": 99.5, "green": 0.5}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/nonexistent/haproxy.sock", "can not be asked: No such file or directory"),
        (__file__, "can not be asked: Connection refused"),
        ("/" + 200 * "x", "can not be asked: AF_UNIX path too long"),
    ],
)
def test_a_socket_that_is_none_is_no_evidence(path: str, expected: str) -> None:
    for call in (HAProxy(path, "be", NAMES).weights, lambda: HAProxy(path, "be", NAMES).shift("blue", 5)):
        assert fault(call).endswith(expected)


# The arithmetic.

POSSIBLE = {Fraction(n, n + m) for n in range(257) for m in range(257) if n + m}


@given(st.sampled_from(SLOTS), st.integers(0, 100_000).map(lambda thousandth: thousandth / 1000))
def test_the_weights_of_a_share_are_exact_or_there_are_none(slot: Slot, percent: float) -> None:
    share = Fraction(str(percent)) / 100
    if share in POSSIBLE:
        weights = weights_of(slot, percent, MOST_WEIGHT)
        assert Fraction(weights[slot], sum(weights.values())) == share
        assert max(weights.values()) <= MOST_WEIGHT
        assert shares_of(weights)[slot] == percent
    else:
        assert "can not be had by two whole weights up to 256" in fault(
            lambda: weights_of(slot, percent, MOST_WEIGHT), SettingsError
        )


@given(st.sampled_from(SLOTS), Weights)
def test_every_share_that_a_router_tells_can_be_set_again(slot: Slot, found: tuple[int, int]) -> None:
    told = shares_of(dict(zip(SLOTS, found, strict=True)))
    assert shares_of(weights_of(slot, told[slot], MOST_WEIGHT))[slot] == told[slot]


@pytest.mark.parametrize("percent", [-0.001, 100.001, float("nan"), float("inf")])
def test_what_is_no_share_is_refused(percent: float) -> None:
    assert "allowed is 0 to 100" in fault(lambda: weights_of("blue", percent, MOST_WEIGHT), SettingsError)


@given(Weights, Weights)
def test_between_two_commands_the_share_that_rises_stays_under_its_goal(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    now: dict[Slot, int] = dict(zip(SLOTS, before, strict=True))
    wanted: dict[Slot, int] = dict(zip(SLOTS, after, strict=True))
    first, second = order(now, wanted)
    assert {first, second} == set(SLOTS)
    between = {first: wanted[first], second: now[second]}
    assert sum(between.values()) > 0
    for slot in SLOTS:
        old, new = Fraction(now[slot], sum(now.values())), Fraction(wanted[slot], sum(wanted.values()))
        if new > old:
            assert Fraction(between[slot], sum(between.values())) <= new


@given(st.sampled_from(SLOTS), st.integers(0, 200), st.integers(0, 200))
def test_between_two_shares_of_ours_there_are_only_shares_between_them(slot: Slot, before: int, after: int) -> None:
    now, wanted = weights_of(slot, before / 2, MOST_WEIGHT), weights_of(slot, after / 2, MOST_WEIGHT)
    first, second = order(now, wanted)
    between = shares_of({first: wanted[first], second: now[second]})[slot]
    assert min(before, after) / 2 <= between <= max(before, after) / 2


# The settings, and the page.


@installed
def test_haproxy_takes_the_configuration_of_the_page(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs/traffic.md").read_text(encoding="utf-8")
    (tmp_path / "haproxy.cfg").write_text(page.partition("```text\n")[2].partition("```")[0], encoding="utf-8")
    command = [str(PROGRAM), "-c", "-f", str(tmp_path / "haproxy.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Configuration file is valid"), done.stderr


def test_an_environment_names_its_router() -> None:
    tables = {"prod": {"traffic": {"router": "haproxy", "socket": "/run/ha.sock", "backend": "be", "green": "g2"}}}
    assert router_of(resolve("prod", tables, "x")) == HAProxy("/run/ha.sock", "be", {"blue": "blue", "green": "g2"})
    assert router_of(resolve("dev", tables, "x")) is None


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        ({"router": "haproxy", "backend": "be"}, "traffic router haproxy needs socket"),
        ({"router": "haproxy", "socket": "/s", "backend": "be;shutdown"}, "traffic.backend: expected str matching"),
        ({"router": "haproxy", "socket": "/s", "backend": "be", "blue": "a\n"}, "traffic.blue: expected str matching"),
        ({"router": "haproxy", "socket": "/s", "backend": "be", "blue": "green"}, "blue and green are both 'green'"),
        ({"router": "kubernetes", "route": ".."}, "traffic.route: expected str matching"),
        ({"router": "kubernetes"}, "traffic router kubernetes needs route"),
        ({"router": "nginx"}, "traffic.router: invalid enum value 'nginx'"),
    ],
)
def test_settings_that_can_not_work_are_refused(traffic: dict[str, str], expected: str) -> None:
    told = fault(lambda: resolve("prod", {"prod": {"traffic": traffic}}, "pyproject.toml"), SettingsError)
    assert expected.lower() in told.lower()
