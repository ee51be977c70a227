"""`artisan deploy canary` as a user types it."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from canary_house import FLAG, NOW, UNDECIDED, WELL, WRONG, Clock, Seen, Users, Weights, in_memory
from msgspec import structs

from pytest_artisan.cli import main
from pytest_artisan.commands.lasting import tell
from pytest_artisan.release import record
from pytest_artisan.release.attestation.attested import Attested, Wanted
from pytest_artisan.release.canary.runs import Run
from pytest_artisan.release.canary.settings import Canary, canary_of
from pytest_artisan.release.deployments import alone, save
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.flags.states import State
from pytest_artisan.release.health import Limits
from pytest_artisan.settings import SettingsError

_PAGE = Path(__file__).parent.parent / "docs" / "canary.md"
_POLICY = """\
[tool.artisan.canary]
stages = [{ percent = 1, soak = "30s" }, { percent = 100, soak = "30s" }]

[tool.artisan.environments.dev]
prometheus_url = "http://127.0.0.1:9"

[tool.artisan.environments.prod]
prometheus_url = "http://127.0.0.1:9"
"""


@dataclass
class Desk:
    """Who types `artisan deploy canary`, in a project whose users do as `blocks` say; `asked` is what was verified."""

    root: Path
    capsys: pytest.CaptureFixture[str]
    blocks: list[Seen] = field(default_factory=lambda: [WELL])
    clock: Clock = field(default_factory=Clock)
    wait: Callable[[float], None] | None = None
    asked: list[Wanted] = field(default_factory=list)
    on: list[bool] = field(default_factory=list)
    digest: str = "1" * 64
    previous: str | None = None

    def signed_anew(self) -> None:
        """Another verdict, that comes after the last one."""
        self.previous, self.digest = self.digest, "2" * 64

    def sleep(self, seconds: float) -> None:
        (self.wait or self.clock.wait)(seconds)

    def typed(self, line: str, *more: str) -> tuple[int, str, str]:
        status = main(["deploy", "canary", *line.split(), *more], clock=self.clock)
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def verify(self, root: Path, path: Path, wanted: Wanted, *rest: object) -> Attested:
        self.asked.append(wanted)
        return Attested(
            digest=self.digest, nonce="n", commit="c" * 40, kind="train", environment=wanted.environment, version="",
            stage=wanted.stage, expires=self.clock() + timedelta(hours=24), previous=self.previous,
        )  # fmt: skip

    def source(self, *arguments: object, on: bool, **rest: object) -> Users:
        self.on.append(on)
        return Users(self.blocks, self.clock)

    def flag(self, name: str = FLAG, environment: str = "dev") -> State:
        return FeatureFlagManager(environment, self.root).state(name)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    with in_memory() as root:
        yield desk_at(root, monkeypatch, capsys)


def desk_at(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    (root / "pyproject.toml").write_text(_POLICY, "utf-8")
    monkeypatch.chdir(root)
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    monkeypatch.setattr("pytest_artisan.release.record.who", lambda root: "kim")
    monkeypatch.setattr("pytest_artisan.release.canary.runs.who", lambda root: "kim")
    monkeypatch.setattr("pytest_artisan.release.admission.who", lambda root: "kim")
    desk = Desk(root, capsys)
    # What is signed and what is counted have tests of their own.
    monkeypatch.setattr("pytest_artisan.release.admission.verify", desk.verify)
    monkeypatch.setattr("pytest_artisan.release.observing.prometheus.flag_source", desk.source)
    monkeypatch.setattr("pytest_artisan.commands.deploy_canary.time", SimpleNamespace(sleep=desk.sleep))
    return desk


def test_all_stages_end_with_everybody_and_one_verdict_is_enough(desk: Desk) -> None:
    status, out, err = desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"10:00:00     1 %  admitted: {FLAG} is on for 0 % of users; slow is over 1.2 s (the baseline of the test)",
        "10:00:00     1 %  moved",
        "10:00:15     1 %  n=400, 0.00 % errors, 2.0 % slow, rated 4.5 by 100: healthy",
        "10:00:30     1 %  n=800, 0.00 % errors, 2.0 % slow, rated 4.5 by 200: healthy",
        "10:00:30   100 %  moved",
        "10:00:45   100 %  n=400, 0.00 % errors, 2.0 % slow, rated 4.5 by 100: healthy",
        "10:01:00   100 %  n=800, 0.00 % errors, 2.0 % slow, rated 4.5 by 200: healthy",
        f"canary {FLAG} in dev has reached 100 %, and was healthy",
    ]
    assert desk.flag() == (False, 10_000)
    assert desk.asked == [Wanted(environment="dev", stage=None)]
    began, ended = record.read(desk.root)
    assert (began.action, ended.action, ended.who) == ("deploy", "canary done", "kim")
    assert desk.digest in ended.why


def test_harm_ends_with_1_and_the_verdict_does_not_count_again(desk: Desk) -> None:
    desk.blocks = [WRONG]
    status, out, _ = desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")
    assert status == 1
    assert "roll back: errors 100 % > 2 %" in out
    assert f"canary {FLAG} in dev was taken back from 5 %: errors 100 % > 2 %" in out
    assert desk.flag() == (False, 0)
    assert desk.asked == [Wanted(environment="dev", stage=5)]
    status, out, err = desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")
    assert (status, out) == (23, "")
    assert "it was used before" in err
    assert desk.flag() == (False, 0)


def test_a_window_has_to_be_open_to_begin_and_not_to_go_on(desk: Desk) -> None:
    # A Tuesday: prod's train goes on Friday.
    status, _, err = desk.typed(f"prod {FLAG} --auto --verdict v.intoto.json")
    assert status == 2
    assert "no train to prod takes deployments now" in err
    assert desk.flag(environment="prod") == (False, 0)
    desk.blocks = [UNDECIDED]
    desk.wait = interrupted_at(desk, 2)
    assert desk.typed(f"prod {FLAG} --auto --verdict v.intoto.json", "--override=an incident")[0] == 130
    desk.wait, desk.blocks = None, [WELL]
    assert desk.typed(f"prod {FLAG} --auto")[0] == 0
    assert [entry.action for entry in record.read(desk.root)] == ["override", "deploy", "canary done"]


def interrupted_at(desk: Desk, number: int) -> Callable[[float], None]:
    def wait(seconds: float) -> None:
        desk.clock.wait(seconds)
        if desk.clock.waits == number:
            raise KeyboardInterrupt

    return wait


def test_ctrl_c_says_how_to_go_on_and_how_to_go_back(desk: Desk) -> None:
    desk.wait = interrupted_at(desk, 3)
    status, out, err = desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")
    assert (status, err) == (130, "")
    typed = f"artisan deploy canary dev {FLAG}"
    assert out.splitlines()[-1] == (
        f"interrupted: the same command goes on where it was; {typed} --rollback takes the change back"
    )
    status, out, _ = desk.typed(f"dev {FLAG} --status")
    assert out.splitlines()[-1] == f"canary {FLAG} in dev has reached 100 %, and is to be watched"
    assert out.count(": healthy\n") == 2
    # No verdict is asked for, nor anybody else's canary let in.
    assert "goes on with it" in desk.typed("dev ppo_algorithm 5 --verdict v.intoto.json")[2]
    desk.wait = None
    status, out, _ = desk.typed(f"dev {FLAG} --auto")
    assert (status, len(desk.asked)) == (0, 1)
    assert "and is to be watched; it goes on" in out


@pytest.mark.parametrize("interrupted", [True, False], ids=["under way", "done"])
def test_rollback_is_one_command_wherever_it_is(desk: Desk, interrupted: bool) -> None:
    FeatureFlagManager("dev", desk.root).set_rollout_percentage("ppo_algorithm", 0.5, why="x", who="y")
    desk.wait = interrupted_at(desk, 3) if interrupted else None
    desk.typed("dev ppo_algorithm --auto --verdict v.intoto.json")
    # On for all it was, so the change is that it is off.
    assert desk.flag("ppo_algorithm") == (True, 10_000)
    assert set(desk.on) == {False}
    desk.wait = None
    status, out, err = desk.typed("dev ppo_algorithm --rollback")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "canary ppo_algorithm in dev was taken back from 100 %: --rollback"
    assert desk.flag("ppo_algorithm") == (True, 50)
    ended = record.read(desk.root)
    assert ended[-1].action == "canary back"
    # Again it says the same, and nothing happens.
    assert desk.typed("dev ppo_algorithm --rollback") == (0, out.splitlines(keepends=True)[-1], "")
    assert desk.flag("ppo_algorithm") == (True, 50)
    assert record.read(desk.root) == ended


def test_rollback_of_a_canary_that_somebody_watches_happens_at_once_and_ends_it(desk: Desk) -> None:
    said = []

    def wait(seconds: float) -> None:
        desk.clock.wait(seconds)
        if desk.clock.waits == 3:
            said.append((main(["deploy", "canary", "dev", FLAG, "--rollback"], clock=desk.clock), desk.flag()))

    desk.wait = wait
    status, out, _ = desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")
    assert said == [(0, (False, 0))]
    assert f"{FLAG} is on for 0 % of users, as before" in out
    assert f"a deployment to dev is running: canary {FLAG} by kim" in out
    assert (status, desk.flag()) == (1, (False, 0))
    assert out.splitlines()[-1] == f"canary {FLAG} in dev was taken back from 100 %: it was called back"


def test_rollback_reaches_whoever_watches_where_nothing_has_changed_yet(desk: Desk) -> None:
    # At 1 % already: what is taken back looks the same as what was given.
    FeatureFlagManager("dev", desk.root).set_rollout_percentage(FLAG, 1, why="x", who="y")

    def wait(seconds: float) -> None:
        desk.clock.wait(seconds)
        if desk.clock.waits == 1:
            assert main(["deploy", "canary", "dev", FLAG, "--rollback"], clock=desk.clock) == 0

    desk.wait = wait
    status, out, _ = desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")
    assert (status, desk.flag(), desk.clock.waits) == (1, (False, 100), 1)
    assert out.splitlines()[-1] == f"canary {FLAG} in dev was taken back from 1 %: it was called back"
    # What was called back once does not call back the next one.
    desk.wait = None
    desk.signed_anew()
    assert desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")[0] == 0


def test_rollback_of_an_old_canary_moves_no_request_of_another_deployment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = Weights()
    monkeypatch.setattr("pytest_artisan.release.traffic.choosing.router_of", lambda environment: router)
    assert desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")[0] == 0
    there = router.shares = Weights({"blue": 70.0, "green": 30.0}).shares
    with alone(desk.root, "dev", "blue/green v2", "lee", NOW):
        status, out, _ = desk.typed(f"dev {FLAG} --rollback")
        assert (status, desk.flag(), router.shares) == (0, (False, 0), there)
    assert "the router stays as it is" in out
    assert desk.typed(f"dev {FLAG} --rollback")[0] == 0
    there = router.shares = Weights({"blue": 0.0, "green": 100.0}).shares
    with alone(desk.root, "dev", "blue/green v3", "lee", NOW):
        status, out, _ = desk.typed(f"dev {FLAG} --rollback")
    assert (status, router.shares) == (0, there)
    assert "was taken back from 100 %: --rollback" in out


def test_a_policy_that_can_not_be_read_bars_no_way_back(desk: Desk) -> None:
    assert desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")[0] == 0
    (desk.root / "pyproject.toml").write_text("[tool.artisan.canary]\nlook = 'never'\n", "utf-8")
    assert desk.typed(f"dev {FLAG} --rollback")[0] == 0
    assert desk.flag() == (False, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SettingsError("a full disk")], ids=["Ctrl-C", "a full disk"])
def test_whoever_ends_between_the_verdict_and_the_first_step_has_not_used_it_up(
    desk: Desk, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")[0] == 0
    desk.signed_anew()
    saves = itertools.count()

    def failing(path: Path, run: Run) -> None:
        if next(saves):
            raise error
        save(path, run)

    with monkeypatch.context() as patch:
        patch.setattr("pytest_artisan.release.canary.beginning.save", failing)
        assert desk.typed(f"dev {FLAG} 50 --verdict v.intoto.json")[0] in (2, 130)
    assert (desk.flag(), len(desk.asked)) == ((False, 500), 2)
    assert desk.typed(f"dev {FLAG} --status")[1] == f"canary {FLAG} in dev has no verdict\n"
    assert desk.typed(f"dev {FLAG} 50")[0] == 0
    assert (desk.flag(), len(desk.asked)) == ((False, 5_000), 2)
    assert desk.typed(f"dev {FLAG} --rollback")[0] == 0
    assert desk.flag() == (False, 0)


def test_what_can_not_be_kept_uses_no_verdict_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise SettingsError("a full disk")

    with monkeypatch.context() as patch:
        patch.setattr("pytest_artisan.release.canary.beginning.save", full)
        assert desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")[0] == 2
    assert record.read(desk.root) == ()
    assert desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")[0] == 0


def test_a_share_that_the_router_can_not_give_is_told_before_anything_moves(desk: Desk) -> None:
    traffic = '\n[tool.artisan.environments.dev.traffic]\nrouter = "haproxy"\nsocket = "s"\nbackend = "b"\n'
    (desk.root / "pyproject.toml").write_text(_POLICY + traffic, "utf-8")
    status, _, err = desk.typed(f"dev {FLAG} 0.25 --verdict v.intoto.json")
    assert (status, desk.asked, desk.on) == (2, [], [])
    assert "a share of 0.25 % of the requests can not be had" in err


def test_the_second_of_two_deployments_is_told_who_holds_the_first(desk: Desk) -> None:
    with alone(desk.root, "dev", "canary other", "lee", NOW):
        status, out, err = desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")
    assert (status, out) == (2, "")
    assert err == (
        "artisan: a deployment to dev is running: canary other by lee since 2026-03-03 10:00:00 UTC, "
        f"process {os.getpid()}\n"
    )
    assert desk.asked == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"dev {FLAG} 5", "--verdict FILE is missing: a canary begins with a signed GO"),
        ("dev new_moga_optimiser 5 --verdict v", "the nearest is 'new_moga_optimizer'"),
        ("dev ../../escaped --status", "the list of flags has no key '../../escaped'"),
        (f"dev {FLAG} 0.001 --verdict v", "percent: 0.001 is finer than 0.01"),
        (f"dev {FLAG} --rollback", f"there was no canary of {FLAG} in dev"),
        (f"dev {FLAG} --status", f"there was no canary of {FLAG} in dev"),
    ],
)
def test_what_can_not_be_is_told_in_one_line(desk: Desk, line: str, told: str) -> None:
    status, out, err = desk.typed(line)
    assert (status, out) == (2, "")
    assert told in err
    assert err.startswith("artisan: ")
    assert err.count("\n") == 1
    assert desk.flag() == (False, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "required field"),
        ("not JSON", "no state of a deployment"),
        ('{"environment": "dev"', "no state of a deployment"),
    ],
)
def test_a_state_that_can_not_be_read_is_no_beginning(desk: Desk, text: str, told: str) -> None:
    path = desk.root / ".artisan" / "deploy-dev" / f"canary-{FLAG}.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    status, _, err = desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")
    assert status == 2
    assert told in err
    assert (desk.asked, desk.flag()) == ([], (False, 0))


@pytest.mark.parametrize("line", ["ppo_algorithm --rollback", "ppo_algorithm 5 --verdict v", f"{FLAG} 50 --verdict v"])
def test_the_state_of_another_flag_is_none(desk: Desk, line: str) -> None:
    desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")
    folder = desk.root / ".artisan" / "deploy-dev"
    (folder / f"canary-{FLAG}.json").rename(folder / "canary-ppo_algorithm.json")
    status, _, err = desk.typed(f"dev {line}")
    assert status == 2
    assert f"canary-ppo_algorithm.json: it is the canary of {FLAG} in dev; artisan flags sets a flag by hand" in err
    assert desk.flag("ppo_algorithm") == (True, 0)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('look = "15"', "look: '15' is no duration"),
        ("stages = []", "stages is empty"),
        ("stages = [{ percent = 5 }, { percent = 5 }]", "stages: 5 does not come after 5"),
        ("stages = [{ percent = 0.001 }]", "stages percent: 0.001 is finer than 0.01"),
        ('stages = [{ percent = 5, soak = "soon" }]', "stages soak: 'soon' is no duration"),
        (f'stages = [{{ percent = 5, soak = "{"9" * 400}h" }}]', "allowed are 1 to 999,999 looks"),
        (f'look = "0.{"0" * 320}1ms"', "too small to reckon with"),
        ("limits = { errors_pct = 0.5 }", "limits healthy_errors_pct: 1 is more than errors_pct, 0.5"),
        ("extensions = -1", "extensions: expected int >= 0"),
        ("lok = 1", "the nearest is 'look'"),
    ],
)
def test_a_policy_that_can_not_be_is_told_before_anything_moves(desk: Desk, table: str, told: str) -> None:
    (desk.root / "pyproject.toml").write_text(f"[tool.artisan.canary]\n{table}\n", "utf-8")
    status, _, err = desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")
    assert status == 2
    assert told in err
    assert "[tool.artisan] canary" in err


def test_an_environment_without_prometheus_uses_no_verdict_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(desk.root)
    status, _, err = desk.typed(f"stg {FLAG} 5 --verdict v.intoto.json")
    assert status == 2
    assert "has no prometheus_url" in err
    status, _, err = desk.typed(f"dev {FLAG} 5 --verdict v.intoto.json")
    assert status == 2
    assert "http://127.0.0.1:9" in err
    assert record.read(desk.root) == ()


_TYPED = """\
import sys
from datetime import timedelta
from types import SimpleNamespace

sys.path[:0] = [{tests!r}]
from canary_house import UNDECIDED, WRONG, Clock, Users

from pytest_artisan.cli import main, wall_clock
from pytest_artisan.commands import deploy_canary
from pytest_artisan.release import admission
from pytest_artisan.release.attestation.attested import Attested
from pytest_artisan.release.observing import prometheus

clock = Clock()
admission.verify = lambda root, path, wanted, *rest: Attested(
    digest="1" * 64, nonce="n", commit="c", kind="train", environment="dev", version="", stage=5,
    expires=wall_clock() + timedelta(hours=1),
)
prometheus.flag_source = lambda *arguments, **named: Users([{block}], clock)
{more}
sys.exit(main(["deploy", "canary", "dev", {flag!r}, "5", "--verdict", "v"]))
"""


def started(block: str, more: str = "") -> subprocess.Popen[str]:
    """The command in a process of its own, which has said that its first stage has begun."""
    script = _TYPED.format(tests=str(Path(__file__).parent), flag=FLAG, block=block, more=more)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert any("moved" in line for line in process.stdout)
    return process


def test_sigterm_is_as_ctrl_c_and_leaves_no_lock(desk: Desk) -> None:
    process = started("UNDECIDED")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert "interrupted: the same command goes on" in out
    assert desk.flag() == (False, 500)
    status, out, _ = desk.typed(f"dev {FLAG} --rollback")
    assert (status, desk.flag()) == (0, (False, 0))


def test_a_canary_that_nobody_reads_is_watched_all_the_same(desk: Desk) -> None:
    # It waits for a word of the test, which comes when its reader is gone.
    process = started(
        "WRONG", "deploy_canary.time = SimpleNamespace(sleep=lambda s: (sys.stdin.readline(), clock.wait(s)))"
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=20), err) == (1, "")
    assert desk.flag() == (False, 0)


def test_no_letter_ends_a_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out, "ascii"))
    tell("says Zoë")
    assert out.getvalue() == b"says Zo\\xeb\n"


def test_the_page_shows_the_defaults() -> None:
    [_, text, *_] = _PAGE.read_text("utf-8").split("```toml\n")
    shown = tomllib.loads(text.split("```")[0])["tool"]["artisan"]["canary"]
    assert canary_of({"canary": shown}, "the page") == Canary()
    assert set(shown["limits"]) == set(Limits.__struct_fields__)


def test_the_page_shows_what_is_said(desk: Desk) -> None:
    failing = structs.replace(WELL, errors=WELL.requests // 2)
    desk.blocks = [WELL, WELL, failing]
    table = _POLICY.replace("percent = 100", "percent = 5")
    (desk.root / "pyproject.toml").write_text(table, "utf-8")
    _, out, _ = desk.typed(f"dev {FLAG} --auto --verdict v.intoto.json")
    assert f"```text\n{out}```" in _PAGE.read_text("utf-8")
