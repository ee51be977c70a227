"""`artisan deploy blue-green` as a user types it: real verdicts, records, locks and states; an environment in memory."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attestation_house as house
import pytest
from attestation_house import AT, Keys
from msgspec.structs import replace
from release_house import git, repository

from pytest_artisan.cli import main
from pytest_artisan.commands import deploy_blue_green
from pytest_artisan.commands.attestation import policies_of
from pytest_artisan.files import write_atomically
from pytest_artisan.release import deployments
from pytest_artisan.release.attestation.attested import Wanted
from pytest_artisan.release.attestation.verifying import verify
from pytest_artisan.release.blue_green.deploying import path_of
from pytest_artisan.release.blue_green.drills import VIOLATIONS, Scripted
from pytest_artisan.release.blue_green.machine import FINAL, Deployment, Phase
from pytest_artisan.release.blue_green.settings import blue_green_of
from pytest_artisan.release.record import Entry, note, read
from pytest_artisan.release.slots.control import Build
from pytest_artisan.release.tags import Release, write
from pytest_artisan.release.traffic.patience import NotYet
from pytest_artisan.release.traffic.router import Slot
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

TABLES = """
[tool.artisan.blue_green]
monitor = "60s"
[tool.artisan.policies.hotfix]
required = ["unit", "security", "smoke"]
""" + "".join(
    f"""
[tool.artisan.environments.{name}]
prometheus_url = "http://127.0.0.1:1"
[tool.artisan.environments.{name}.traffic]
router = "haproxy"
socket = "/run/haproxy.sock"
backend = "be"
[tool.artisan.environments.{name}.slots]
blue = "http://127.0.0.1:8101"
green = "http://127.0.0.1:8102"
start = ["run", "{{slot}}"]
stop = ["end", "{{slot}}"]
"""
    for name in ("dev", "prod")
)
LOOKS = 4
OLD = Build("v2.0.0", "a" * 40)


@dataclass
class Shop:
    """A repository with the release v2.1.0 and a signed GO for it; `scripted` is its environment, with v2.0.0 in blue."""

    root: Path
    keys: Keys
    capsys: pytest.CaptureFixture[str]
    scripted: Scripted

    @property
    def commit(self) -> str:
        return git(self.root, "rev-parse", "HEAD")

    @property
    def state(self) -> Deployment | None:
        return deployments.load(path_of(self.root, "dev"), Deployment)

    def release(self, version: str) -> None:
        """Tag HEAD; the environment's services say that they are this version from now on."""
        oid = write(self.root, Release(version, self.commit, AT.replace(microsecond=0), "T <t@e.test>", "new"))
        git(self.root, "update-ref", f"refs/tags/{version}", oid)

    def sign(self, version: str = "v2.1.0", **given: Any) -> Path:
        return house.sign(self.root, self.keys, version=version, **given)

    def artisan(self, *arguments: str, env: str = "dev", version: str = "v2.1.0") -> tuple[int, str]:
        self.capsys.readouterr()
        status = main(["deploy", "blue-green", env, version, *arguments], clock=lambda: self.scripted.now)
        said = self.capsys.readouterr()
        return status, said.out + said.err

    def deploy(self, *arguments: str, **given: str) -> tuple[int, str]:
        return self.artisan("--verdict=verdict.intoto.json", *arguments, **given)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    folder = tmp_path_factory.mktemp("made")
    root, keys = folder / "shop", house.make_keys(folder)
    repository(root)
    house.trust(root, keys, TABLES)
    shop = Shop(root, keys, None, Scripted())  # type: ignore[arg-type]
    shop.release("v2.1.0")
    shop.sign()
    return root, keys


@pytest.fixture
def shop(
    made: tuple[Path, Keys], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shop:
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    shutil.copytree(made[0], tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    shop = Shop(tmp_path / "shop", made[1], capsys, Scripted(now=AT))
    place_in(shop, monkeypatch)
    return shop


def place_in(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop's environment is what the command acts upon."""
    monkeypatch.setattr("pytest_artisan.release.traffic.choosing.router_of", lambda environment: shop.scripted)
    monkeypatch.setattr("pytest_artisan.release.slots.control.SlotCommands", lambda slots, root: shop.scripted)
    monkeypatch.setattr("pytest_artisan.release.observing.prometheus.slot_source", lambda *_, **__: shop.scripted)
    timeless = SimpleNamespace(sleep=lambda seconds: shop.scripted.pass_time(seconds))
    monkeypatch.setattr(deploy_blue_green, "time", timeless)


def lives_in(shop: Shop) -> str:
    """The slot that gets all requests; something has to run there."""
    [slot] = [name for name, share in shop.scripted.shares.items() if share == 100]
    assert slot in shop.scripted.runs
    return slot


def test_a_version_goes_to_the_slot_that_is_not_live_and_the_other_one_ends(shop: Shop) -> None:
    status, told = shop.deploy()

    assert status == 0, told
    assert (lives_in(shop), list(shop.scripted.runs)) == ("green", ["green"])
    assert told.splitlines()[1].endswith("v2.1.0 is started in green")
    assert f"look {LOOKS} of {LOOKS}: healthy: errors 0 % < 1 %" in told
    assert told.splitlines()[-1].startswith("done: v2.1.0 in green gets all requests; errors 0 %")
    deployed, done = read(shop.root)
    assert (deployed.action, deployed.subject) == ("deploy", "v2.1.0 to dev")
    assert (done.action, done.subject) == ("blue/green done", "v2.1.0 to dev")
    # As where the process was killed before it could say so.
    assert shop.deploy() == (0, told.splitlines()[-1] + "\n")
    assert len(read(shop.root)) == 2
    shop.scripted.shares = {"blue": 100, "green": 0}
    status, told = shop.deploy()
    assert (status, "it was used before" in told) == (23, True), told


def test_the_next_one_goes_to_the_other_slot_and_comes_back_after_the_old_one_was_stopped(shop: Shop) -> None:
    shop.deploy()
    (shop.root / "more.py").write_text("x = 1\n")
    git(shop.root, "add", "more.py")
    git(shop.root, "commit", "-q", "-m", "more")
    shop.release("v2.2.0")
    shop.sign("v2.2.0")
    first, second = shop.state, shop.deploy(version="v2.2.0")
    assert second[0] == 0, second
    assert (lives_in(shop), list(shop.scripted.runs)) == ("blue", ["blue"])

    assert first is not None
    status, told = shop.artisan("--rollback", version="v2.2.0")
    assert status == 0, told
    assert shop.scripted.runs == {"green": first.build}
    assert lives_in(shop) == "green"
    assert told.splitlines()[-1] == "back: v2.1.0 in green gets all requests; somebody wants it back"
    assert [entry.action for entry in read(shop.root)][-2:] == ["blue/green done", "blue/green back"]
    # The same again changes nothing.
    assert shop.artisan("--rollback", version="v2.2.0") == (0, told.splitlines()[-1] + "\n")


def test_an_old_version_that_does_not_get_ready_again_leaves_the_new_one_where_it_is(shop: Shop) -> None:
    shop.deploy()
    assert shop.state is not None
    deployments.save(path_of(shop.root, "dev"), replace(shop.state, old=OLD))
    shop.scripted.start = lambda slot, build: None  # type: ignore[method-assign]
    status, told = shop.artisan("--rollback")
    assert status == 1
    assert "done: v2.1.0 in green gets all requests; not ready within 1 s" in told
    assert (lives_in(shop), list(shop.scripted.runs)) == ("green", ["green"])


# Of what each violation leads to, the drills tell; these end in each of the ways there are.
HARMS = {
    "green never gets ready": False,
    "5 % errors after the switch": True,
    "the router says that it moved requests, and has not": True,
}


@pytest.mark.parametrize(("harm", "admitted"), HARMS.items())
def test_what_does_harm_leaves_all_as_it_was_and_needs_a_new_verdict(harm: str, admitted: bool, shop: Shop) -> None:
    planted = dataclasses.replace(VIOLATIONS[harm](), now=AT)
    shop.scripted, before = planted, dict(planted.runs)
    status, told = shop.deploy()

    assert status == 1, told
    assert (lives_in(shop), planted.runs) == ("blue", before)
    assert told.splitlines()[-1].startswith("back: what ran there before in blue gets all requests; ")
    assert any(entry.verdict for entry in read(shop.root)) == admitted
    # What had no requests yet may try again.
    assert shop.deploy()[0] == (23 if admitted else 1)
    assert (lives_in(shop), planted.runs) == ("blue", before)


def refuse(**given: Any) -> Callable[[Shop], object]:
    return lambda shop: shop.sign(**given)


def use_it(shop: Shop) -> None:
    note(shop.root, Entry(at=AT, who="A", action="deploy", subject="v2.1.0 to dev", why="-", verdict=digest_of(shop)))


def leave_out(shop: Shop) -> None:
    note(shop.root, Entry(at=AT, who="A", action="deploy", subject="v2.1.0 to dev", why="-", verdict="d" * 64))


def digest_of(shop: Shop) -> str:
    return verify(
        shop.root, shop.root / "verdict.intoto.json", Wanted(environment="dev"), AT, policies_of(shop.root)
    ).digest


def split(shop: Shop) -> None:
    shop.scripted.shares = {"blue": 95, "green": 5}


def lie(shop: Shop) -> None:
    shop.scripted.shares = {"blue": 100, "green": 100}


def measure_nothing(shop: Shop) -> None:
    def yardstick(now: datetime) -> None:
        raise NoEvidence("no baseline for the p95")

    shop.scripted.yardstick = yardstick  # type: ignore[assignment, method-assign]


def keep(text: str) -> Callable[[Shop], object]:
    return lambda shop: path_of(shop.root, "dev").write_text(text)


REFUSED: dict[str, tuple[Callable[[Shop], object], int, str]] = {
    "no verdict": (lambda shop: (shop.root / "verdict.intoto.json").unlink(), 2, "verdict.intoto.json: No such file"),
    "no envelope": (lambda shop: (shop.root / "verdict.intoto.json").write_text("{}"), 10, "verdict.intoto.json: "),
    "another environment": (refuse(environment="prod"), 26, "it is for prod, not for dev"),
    "another version": (refuse(version="v2.0.0"), 27, "it is for the version v2.0.0, not for v2.1.0"),
    "one stage": (refuse(stage=5), 28, "it is for the stage 5 %, not for all stages"),
    "an old one": (refuse(at=AT - timedelta(days=2)), 30, "it was valid until"),
    "a used one": (use_it, 23, "it was used before"),
    "one out of its chain": (leave_out, 32, "the verdict before it is none, and the last one of v2.1.0 to dev is"),
    "no tag": (lambda shop: git(shop.root, "tag", "-d", "v2.1.0"), 27, "v2.1.0 is"),
    "a canary": (split, 2, "the router gives blue 95 %, green 5 % of the requests; blue/green begins where one slot"),
    "a router that lies": (lie, 2, "the router gives blue 100 %, green 100 % of the requests"),
    "no baseline": (measure_nothing, 2, "no baseline for the p95"),
    "a damaged state": (keep('{"phase": "dnoe"}'), 2, "blue-green.json: no state of a deployment: "),
    "half a state": (keep('{"phase": "do'), 2, "blue-green.json: no state of a deployment: Input data was truncated"),
    "a newer state": (keep('{"mirror": 1}'), 2, "no state of a deployment: Object contains unknown field `mirror`"),
    "a linked state": (
        lambda shop: path_of(shop.root, "dev").symlink_to("/dev/zero"),
        2,
        "Too many levels of symbolic",
    ),
    "a pipe for a state": (lambda shop: os.mkfifo(path_of(shop.root, "dev")), 2, "blue-green.json: no state"),
}


@pytest.mark.parametrize(("prepare", "status", "told"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_begin_says_why_and_starts_nothing(
    prepare: Callable[[Shop], object], status: int, told: str, shop: Shop
) -> None:
    path_of(shop.root, "dev")
    prepare(shop)
    runs, shares, recorded = dict(shop.scripted.runs), dict(shop.scripted.shares), read(shop.root)
    found, said = shop.deploy()
    assert (found, said.count("\n")) == (status, 1), said
    assert told in said
    assert (shop.scripted.runs, shop.scripted.shares, read(shop.root)) == (runs, shares, recorded)


TYPED: list[tuple[list[str], dict[str, str], str]] = [
    ([], {}, "--verdict FILE is missing"),
    (["--rollback"], {}, "no blue/green deployment to dev is known here, so there is none to roll back"),
    (["--verdict=verdict.intoto.json", "--hotfix=hotfix-20261124-0930"], {}, "opens no window for v2.1.0"),
    ([], {"version": "2.1.0"}, "'2.1.0' is no version"),
    ([], {"version": "v1\x1b[2J"}, "is no version"),
    ([], {"env": "stg"}, "environments.stg: blue/green needs its tables traffic and slots"),
]


@pytest.mark.parametrize(("arguments", "given", "told"), TYPED)
def test_what_is_typed_wrong_says_what_is_right(
    arguments: list[str], given: dict[str, str], told: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given.get("env") == "stg":
        monkeypatch.setattr("pytest_artisan.release.traffic.choosing.router_of", lambda environment: None)
    status, said = shop.artisan(*arguments, **given)
    assert (status, said.count("\n")) == (2, 1), said
    assert told in said
    assert said.strip().isprintable()


def test_prod_takes_it_in_a_window_or_for_a_reason_on_the_record(shop: Shop) -> None:
    shop.sign(environment="prod")
    status, told = shop.deploy(env="prod")
    assert (status, list(shop.scripted.runs)) == (2, ["blue"]), told
    assert "no train to prod takes deployments now; the next window opens Fri 2026-11-27 10:00" in told

    status, told = shop.deploy("--override", "the bank closes", env="prod")
    assert status == 0, told
    assert [entry.action for entry in read(shop.root)] == ["override", "deploy", "blue/green done"]


def test_a_window_that_closed_while_green_got_ready_starts_nothing_that_stays(shop: Shop) -> None:
    shop.scripted.now = datetime(2026, 11, 27, 13, 59, 59, tzinfo=UTC)
    shop.sign(environment="prod", at=shop.scripted.now)
    probe = shop.scripted.probe

    def slowly(slot: Slot, build: Build) -> None:
        shop.scripted.pass_time(5)
        probe(slot, build)

    shop.scripted.probe = slowly  # type: ignore[method-assign]
    status, told = shop.deploy(env="prod")
    assert (status, lives_in(shop), list(shop.scripted.runs)) == (1, "blue", ["blue"])
    assert "no train to prod takes deployments now" in told
    assert not any(entry.verdict for entry in read(shop.root))


def test_what_was_admitted_does_not_begin_in_a_freeze_days_later_without_a_reason_on_the_record(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.scripted.now = datetime(2026, 11, 27, 13, 59, tzinfo=UTC)
    shop.sign(environment="prod", at=shop.scripted.now)
    ended_at(shop, Phase.SWITCH, signal.SIGINT, monkeypatch, env="prod")
    shop.scripted.pass_time(3600)
    status, told = shop.deploy(env="prod")
    assert (status, lives_in(shop)) == (2, "blue"), told
    assert "no train to prod takes deployments now" in told
    assert shop.deploy("--override", "the bank closes", env="prod")[0] == 0
    assert [entry.action for entry in read(shop.root)] == ["deploy", "override", "blue/green done"]


def test_a_released_hotfix_needs_no_window(shop: Shop) -> None:
    version = "hotfix-20261124-0930"
    shop.release(version)
    shop.sign("", environment="prod", policy="hotfix")
    status, told = shop.deploy(env="prod", version=version)
    assert (status, list(shop.scripted.runs), "--hotfix VERSION deploys it" in told) == (25, ["blue"], True), told
    status, told = shop.deploy("--hotfix", version, env="prod", version=version)
    assert status == 0, told
    assert [entry.action for entry in read(shop.root)] == ["hotfix", "deploy", "blue/green done"]


def test_the_second_one_says_who_deploys_and_a_rollback_does_not_wait(shop: Shop) -> None:
    seen: list[tuple[int, str]] = []
    weights = shop.scripted.weights

    def meanwhile() -> dict[Slot, float]:
        if shop.state and shop.state.phase in (Phase.START, Phase.WATCH) and len(seen) < 3:
            seen.append(shop.deploy() if len(seen) < 2 else shop.artisan("--rollback"))
        return weights()

    shop.scripted.weights = meanwhile  # type: ignore[method-assign]
    status, _ = shop.deploy()
    for found, told in seen[:2]:
        assert found == 2
        assert (
            f"a deployment to dev is running: blue/green v2.1.0 by Kim 김 <kim@example.test> since {AT:%Y-%m-%d}"
            in told
        )
        assert told.endswith(f", process {os.getpid()}\n")
    assert seen[2][0] == 0
    assert "blue gets all requests; whoever watches green sees that at the next look, and ends it" in seen[2][1]
    assert (status, lives_in(shop), list(shop.scripted.runs)) == (1, "blue", ["blue"])


def test_a_rollback_that_comes_too_late_gives_the_requests_back_to_what_was_proven(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_at(shop, Phase.WATCH, signal.SIGINT, monkeypatch)
    shift, watched = shop.scripted.shift, shop.state
    assert watched is not None

    def meanwhile(slot: Slot, percent: float) -> None:
        shift(slot, percent)
        deployments.save(path_of(shop.root, "dev"), replace(watched, phase=Phase.RETIRE))

    shop.scripted.shift = meanwhile  # type: ignore[method-assign]
    with deployments.alone(shop.root, "dev", "blue/green v2.1.0", "Kim", AT):
        status, told = shop.artisan("--rollback")
    assert (status, lives_in(shop)) == (2, "green")
    assert told.startswith("artisan: a deployment to dev is running: blue/green v2.1.0 by Kim since ")


def ended_at(
    shop: Shop,
    phase: Phase,
    by: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kept: bool = True,
    env: str = "dev",
) -> tuple[int, str]:
    """A deployment that is ended as soon as it has come to a phase, or just before that is `kept`."""
    save = deployments.save

    def keep(path: Path, state: Deployment) -> None:
        if kept or state.phase != phase:
            save(path, state)
        if state.phase == phase:
            monkeypatch.undo()
            place_in(shop, monkeypatch)
            monkeypatch.chdir(shop.root)
            signal.raise_signal(by)

    monkeypatch.setattr("pytest_artisan.release.blue_green.deploying.save", keep)
    return shop.deploy(env=env)


INTERRUPTED = {
    Phase.START: signal.SIGINT,
    Phase.SWITCH: signal.SIGTERM,
    Phase.RETIRE: signal.SIGINT,
}


@pytest.mark.parametrize("phase", INTERRUPTED)
def test_whoever_interrupts_it_is_told_how_it_goes_on_and_back(
    phase: Phase, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, told = ended_at(shop, phase, INTERRUPTED[phase], monkeypatch)
    assert status == 130
    assert f"\ninterrupted at {phase}; nothing was taken back\n" in told
    typed = "artisan deploy blue-green dev v2.1.0 --rollback"
    assert told.endswith(f"  the same command goes on, {typed} goes back\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    lives_in(shop)

    assert shop.deploy()[0] == 0
    assert (lives_in(shop), list(shop.scripted.runs)) == ("green", ["green"])


def test_what_was_admitted_and_then_ended_is_not_refused_as_used(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_at(shop, Phase.SWITCH, signal.SIGINT, monkeypatch, kept=False)
    assert shop.state is not None
    assert shop.state.phase == Phase.ADMIT
    shop.scripted.pass_time(3600)
    status, told = shop.deploy()
    assert (status, lives_in(shop)) == (0, "green"), told
    assert [entry.action for entry in read(shop.root)] == ["deploy", "blue/green done"]


def test_what_was_interrupted_goes_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_at(shop, Phase.WATCH, signal.SIGINT, monkeypatch)
    assert lives_in(shop) == "green"
    status, told = shop.artisan("--rollback")
    assert status == 0, told
    assert (lives_in(shop), list(shop.scripted.runs)) == ("blue", ["blue"])


def test_what_artisan_did_not_deploy_gets_the_requests_again_where_it_runs(shop: Shop) -> None:
    shop.deploy()
    stopped, told = shop.artisan("--rollback")
    assert (stopped, lives_in(shop)) == (1, "green")
    assert "artisan did not deploy what ran in blue before; start it there, where it does not run" in told
    assert "done: v2.1.0 in green gets all requests; not ready within 1 s: blue: /health/ready answers 503" in told
    shop.scripted.runs["blue"] = OLD
    status, told = shop.artisan("--rollback")
    assert (status, shop.scripted.runs, lives_in(shop)) == (0, {"blue": OLD}, "blue"), told


def crash(shop: Shop, router: bool = True) -> None:
    """What gets the requests is gone, which the router sees, or does not."""
    live, weights = lives_in(shop), shop.scripted.weights
    del shop.scripted.runs[live]  # type: ignore[arg-type]

    def down() -> dict[Slot, float]:
        shares = weights()
        if router and not any(shares[slot] for slot in shop.scripted.runs):
            raise NotYet("HAProxy at /run/haproxy.sock, backend be: server green is DOWN, and has the weight 200")
        return shares

    shop.scripted.weights = down  # type: ignore[method-assign]


@pytest.mark.parametrize("router", [True, False])
def test_what_crashes_under_watch_has_no_requests_after_the_next_look(
    router: bool, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_at(shop, Phase.WATCH, signal.SIGINT, monkeypatch)
    crash(shop, router)
    begun = shop.scripted.now
    status, told = shop.deploy()
    assert (status, lives_in(shop)) == (1, "blue"), told
    assert shop.scripted.now - begun < timedelta(seconds=16)


def test_what_only_the_router_finds_down_has_no_requests_after_the_next_look(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_at(shop, Phase.WATCH, signal.SIGINT, monkeypatch)
    crash(shop)
    monkeypatch.setattr(shop.scripted, "probe", lambda slot, build: None)
    status, told = shop.deploy()
    assert (status, shop.scripted.shares["blue"], told.count("look ")) == (1, 100, 0), told
    assert "server green is DOWN" in told.splitlines()[-1]


def test_what_crashes_after_it_was_done_goes_back_although_the_router_tells_no_shares(shop: Shop) -> None:
    shop.deploy()
    assert shop.state is not None
    deployments.save(path_of(shop.root, "dev"), replace(shop.state, old=OLD))
    crash(shop)
    status, told = shop.artisan("--rollback")
    assert (status, shop.scripted.runs) == (0, {"blue": OLD}), told
    assert lives_in(shop) == "blue"


def test_no_slot_is_stopped_where_the_other_one_is_gone_since_it_was_watched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_at(shop, Phase.RETIRE, signal.SIGINT, monkeypatch)
    crash(shop, router=False)
    status, told = shop.deploy()
    assert (status, shop.scripted.runs) == (2, {"blue": OLD}), told
    assert "so blue is not stopped, and --rollback goes back to it; the same command goes on" in told
    assert shop.artisan("--rollback")[0] == 0
    assert lives_in(shop) == "blue"


def test_what_is_taken_back_goes_on_where_nothing_else_is_ready(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_at(shop, Phase.WATCH, signal.SIGINT, monkeypatch)
    del shop.scripted.runs["blue"]
    status, told = shop.artisan("--rollback")
    assert (status, list(shop.scripted.runs)) == (0, ["green"])
    assert (
        "; somebody wants it back; green still runs, without a request, as blue is not ready: blue: /health/ready answers 503"
        in told
    )


def test_what_the_slot_was_asked_before_is_answered_before_it_is_replaced(shop: Shop) -> None:
    seen: list[int] = [2, 1, 0]
    monkey = {"green": seen, "blue": [0]}
    shop.scripted.runs["green"] = OLD
    start = shop.scripted.start

    def started(slot: Slot, build: Build) -> None:
        assert len(seen) == 1
        start(slot, build)

    def in_flight(slot: Slot) -> int:
        left = monkey[slot]
        return left.pop(0) if len(left) > 1 else left[0]

    shop.scripted.in_flight, shop.scripted.start = in_flight, started  # type: ignore[method-assign]
    assert shop.deploy()[0] == 0


def test_what_is_not_over_is_named_to_whoever_deploys_something_else(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_at(shop, Phase.WATCH, signal.SIGINT, monkeypatch)
    shop.release("v2.2.0")
    shop.sign("v2.2.0")
    status, told = shop.deploy(version="v2.2.0")
    assert (status, told) == (
        2, "artisan: v2.1.0 is at watch; artisan deploy blue-green dev v2.1.0 goes on, and with --rollback goes back\n"
    )  # fmt: skip
    status, told = shop.artisan("--rollback", version="v2.2.0")
    assert (status, "is v2.1.0, not v2.2.0" in told) == (2, True)


def test_what_was_interrupted_before_the_switch_goes_on_with_a_newer_verdict_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_at(shop, Phase.SWITCH, signal.SIGINT, monkeypatch)
    shop.scripted.pass_time(3 * 86_400)
    status, told = shop.deploy()
    assert (status, lives_in(shop)) == (30, "blue"), told
    shop.sign(at=shop.scripted.now, previous=shop.root / "verdict.intoto.json", name="newer.intoto.json")
    status, told = shop.artisan("--verdict=newer.intoto.json")
    assert (status, lives_in(shop)) == (0, "green"), told
    assert [entry.action for entry in read(shop.root)] == ["deploy", "deploy", "blue/green done"]


@pytest.mark.parametrize("writes", [1, 5, 6, LOOKS + 7])
def test_a_full_disk_leaves_the_requests_where_they_are_watched_or_safe(
    writes: int, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [writes]

    def full(path: Path, text: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_atomically(path, text)

    monkeypatch.setattr(deployments, "write_atomically", full)
    status, told = shop.deploy()
    assert status == 2
    assert "blue-green.json: the state could not be written: No space left on device" in told
    assert shop.state is not None
    if shop.state.phase in (Phase.SWITCH, Phase.WATCH):
        assert "; blue gets the requests again" in told
        assert lives_in(shop) == "blue"

    left[0] = 99
    status, told = shop.deploy()
    assert (status, lives_in(shop)) in ((0, "green"), (1, "blue")), told
    assert shop.state.phase in FINAL
    assert len(shop.scripted.runs) == 1


def test_requests_go_back_although_nothing_can_be_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_at(shop, Phase.WATCH, signal.SIGINT, monkeypatch)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(deployments, "write_atomically", full)
        disk.setattr(os, "pwrite", full)
        status, told = shop.artisan("--rollback")
    assert (status, lives_in(shop)) == (2, "blue"), told
    assert told.endswith("could not be written: No space left on device; blue gets the requests again\n")
    status, told = shop.deploy()
    assert (status, lives_in(shop), list(shop.scripted.runs)) == (1, "blue", ["blue"]), told


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "full")])
def test_whoever_reads_along_may_go(error: OSError, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as pipe, open(os.devnull, "w") as stdout:
        pipe.setattr("builtins.print", gone)
        pipe.setattr("sys.stdout", stdout)
        assert main(["deploy", "blue-green", "dev", "v2.1.0", "--verdict=verdict.intoto.json"], clock=lambda: AT) == 0
    assert lives_in(shop) == "green"


def test_a_router_that_is_lost_is_asked_again_and_then_the_state_stays(shop: Shop) -> None:
    shift = shop.scripted.shift
    assert shop.scripted.a_look is not None
    shop.scripted.a_look = replace(shop.scripted.a_look, errors=100.0)
    lost: list[int] = []

    def lose(slot: Slot, percent: float) -> None:
        if slot == "blue" and len(lost) < 63:
            lost.append(1)
            raise NoEvidence("HAProxy at /run/haproxy.sock: can not be asked")
        shift(slot, percent)

    shop.scripted.shift = lose  # type: ignore[method-assign]
    status, told = shop.deploy()
    assert status == 2
    assert told.splitlines()[-1] == "artisan: HAProxy at /run/haproxy.sock: can not be asked; the same command goes on"
    assert told.count("blue can not have the requests again yet") == 59
    assert shop.state is not None
    assert shop.state.phase == Phase.RETURN
    status, told = shop.deploy()
    assert (status, lives_in(shop), list(shop.scripted.runs)) == (1, "blue", ["blue"]), told


@pytest.mark.parametrize(
    ("jump", "end"), [(timedelta(seconds=-10), 0), (timedelta(days=400), 0), (timedelta(days=-1), 1)]
)
def test_a_clock_that_jumps_makes_no_look_more_or_less(jump: timedelta, end: int, shop: Shop) -> None:
    waits: list[float] = []
    pass_time = shop.scripted.pass_time

    def leap(seconds: float) -> None:
        waits.append(seconds)
        pass_time(seconds)
        if len(waits) == 2:
            shop.scripted.now += jump

    shop.scripted.pass_time = leap  # type: ignore[method-assign]
    status, told = shop.deploy()
    assert status == end, told
    # What is older than what was seen last is not seen; a day back, nothing is until it goes back.
    assert waits == [15.0] * (LOOKS + end)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"monitor": "5"}, "monitor: '5' is no duration"),
        ({"look": "0s"}, "look: '0s' is no duration"),
        ({"drain": 30}, "drain: expected str, got int"),
        ({"limits": {"errors_pct": 0}}, "limits.errors_pct: expected float > 0"),
        ({"queries": {"requests": ""}}, "queries.requests: expected str of length >= 1"),
        ({"moniter": "1min"}, "has no key 'moniter'; the nearest is 'monitor'"),
    ],
)
def test_settings_that_can_not_be_say_what_is_wrong(table: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        blue_green_of({"blue_green": table}, "pyproject.toml [tool.artisan]")
    assert told in str(raised.value)
