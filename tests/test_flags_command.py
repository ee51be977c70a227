"""`artisan flags`, and the flags behind OpenFeature's API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from pytest_artisan.cli import main
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.flags.provider import ArtisanProvider

NOW = datetime(2026, 3, 3, 10, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.artisan.flags]\nnew-checkout = { default = false, about = "the checkout \\u001b of the spring" }\n',
        "utf-8",
    )
    return tmp_path


def typed(capsys: pytest.CaptureFixture[str], line: str, *more: str) -> tuple[int, str, str]:
    status = main(["flags", *line.split(), *more], clock=lambda: NOW)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_change_is_shown_before_it_is_written_and_stays_on_the_record(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_artisan.release.record.who", lambda root: f"the user of {root.name}")
    status, out, _ = typed(capsys, "rollout ppo_algorithm 5 --env prod", "--why=first \x1b[31mstage")
    assert status == 0
    assert out == (
        "ppo_algorithm in prod: on for 100 % of users; after this on for 95 %: 5 % of users move to off\n"
        f"change 1 by the user of {folder.name}\n"
    )
    monkeypatch.setenv("ARTISAN_ENV", "prod")
    assert "on for 5 %: 5 % of users move to on\n" in typed(capsys, "enable new-checkout --rollout 5 --why x")[1]
    assert "after this on for 0 %: 95 % of users move to off\n" in typed(capsys, "disable ppo_algorithm --why x")[1]
    out = typed(capsys, "history ppo_algorithm")[1]
    assert out == (
        f"1  2026-03-03 10:00:00Z  ppo_algorithm  on for 100 % -> on for 95 %  the user of {folder.name}: first  [31mstage\n"
        f"3  2026-03-03 10:00:00Z  ppo_algorithm  on for 95 % -> on for 0 %  the user of {folder.name}: x\n"
    )
    assert len(typed(capsys, "history")[1].splitlines()) == 3
    assert typed(capsys, "history --env dev")[1] == "nobody has changed a flag in dev\n"
    out = typed(capsys, "list")[1]
    assert out.startswith(f"prod: {folder / '.artisan/flags-prod.db'}\n")
    assert len(out.splitlines()) == 9
    assert typed(capsys, "list --env stg")[1].startswith(f"stg: {folder / '.artisan/flags-stg.db'} (no change yet)\n")
    assert "new-checkout             on for 5 %     the checkout   of the spring\n" in out


def test_what_is_shown_is_not_yet_written(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(root: Path) -> str:
        FeatureFlagManager().disable_flag("ppo_algorithm", why="an alarm", who="somebody else")
        return "me"

    monkeypatch.setattr("pytest_artisan.release.record.who", meanwhile)
    status, out, err = typed(capsys, "rollout ppo_algorithm 5 --why x")
    assert (status, out.count("\n")) == (2, 1)
    assert err == "artisan: ppo_algorithm: somebody has changed it meanwhile: it is on for 0 % of users; look again\n"
    assert len(FeatureFlagManager().store.history()) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rollout ppo_algoritm 5 --why x", "the list of flags has no key 'ppo_algoritm'; the nearest is 'ppo_algorithm'"),
        ("explain ppo_algoritm", "the nearest is 'ppo_algorithm'"),
        ("history ppo_algoritm", "the nearest is 'ppo_algorithm'"),
        ("rollout ppo_algorithm 5% --why x", "'5%' is no percentage; write 0 to 100, in steps of 0.01, such as 5 or 0.25"),
        ("rollout ppo_algorithm -1 --why x", "'-1' is no percentage"),
        ("enable ppo_algorithm --rollout nan --why x", "'nan' is no percentage"),
        ("enable ppo_algorithm --rollout 5 --why x", "would take it from 95 %; artisan flags rollout ppo_algorithm 5 moves"),
        ("enable advanced_rlhf --env prod --why x", "advanced_rlhf is for dev; prod needs a rollout on purpose"),
        ("disable ppo_algorithm --why=", "a change needs a reason"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_line_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    status, _, err = typed(capsys, line)
    assert (status, err.count("\n")) == (2, 1)
    assert told in err
    assert not (folder / ".artisan").exists()


def test_a_change_without_why_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        typed(capsys, "disable ppo_algorithm")
    assert caught.value.code == 2
    assert "the following arguments are required: --why" in capsys.readouterr().err


def test_a_damaged_store_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / ".artisan" / "flags-dev.db"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    for line in ("list", "disable ppo_algorithm --why x", "explain ppo_algorithm"):
        assert typed(capsys, line) == (2, "", f"artisan: {path}: file is not a database\n")


def test_a_decision_is_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*more: str) -> str:
        head, reason = typed(capsys, "explain ppo_algorithm", *more)[1].splitlines()
        assert head.startswith("ppo_algorithm in dev: on for ")
        return reason

    assert told("--user=alice") == "user alice: on; nobody has changed it, and this is its default"
    typed(capsys, "rollout ppo_algorithm 60 --why x")
    assert (
        told("--user=alice") == "user alice: off; bucket 5,167 is among the first 6,000 of 10,000, moved away from on"
    )
    typed(capsys, "rollout ppo_algorithm 51.67 --why x")
    assert (
        told("--user=alice")
        == "user alice: on; bucket 5,167 is not among the first 5,167 of 10,000, moved away from on"
    )
    assert told() == told("--user=") == "no user: on; without a user it stays on, as it was before the rollout"
    typed(capsys, "disable ppo_algorithm --why x")
    assert told("--user=a\nb") == "user a b: off; it is set so for everybody"


@pytest.fixture
def manager(folder: Path) -> FeatureFlagManager:
    return FeatureFlagManager("dev", folder, ticks=lambda: 0.0)


@pytest.fixture
def client(manager: FeatureFlagManager) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(ArtisanProvider(manager))
    yield api.get_client()
    api.shutdown()


def test_the_standard_client_asks_for_a_flag(manager: FeatureFlagManager, client: OpenFeatureClient) -> None:
    def asked(user: str | None = "alice") -> tuple[bool, str | None, object]:
        details = client.get_boolean_details("ppo_algorithm", False, EvaluationContext(targeting_key=user))
        return details.value, details.variant, details.reason

    assert client.get_boolean_value("ppo_algorithm", False)
    assert asked() == (True, "on", Reason.DEFAULT)
    manager.set_rollout_percentage("ppo_algorithm", 60, why="x", who="y")
    assert asked() == (False, "off", Reason.SPLIT)
    assert asked(None) == asked("") == (True, "on", Reason.DEFAULT)
    manager.disable_flag("ppo_algorithm", why="x", who="y")
    assert asked() == (False, "off", Reason.STATIC)
    manager.fault = "the store is gone"
    assert asked() == (False, "off", Reason.STALE)


def test_what_the_flags_do_not_hold_is_the_callers_default(client: OpenFeatureClient) -> None:
    missing = client.get_boolean_details("ppo_algoritm", True)
    assert (missing.value, missing.error_code, missing.reason) == (True, ErrorCode.FLAG_NOT_FOUND, Reason.ERROR)
    for found in (
        client.get_string_details("ppo_algorithm", "x"),
        client.get_integer_details("ppo_algorithm", 7),
        client.get_float_details("ppo_algorithm", 7.5),
        client.get_object_details("ppo_algorithm", {"a": 1}),
    ):
        assert found.error_code == ErrorCode.TYPE_MISMATCH
        assert found.value in ("x", 7, 7.5, {"a": 1})
    assert client.get_string_details("ppo_algoritm", "x").error_code == ErrorCode.FLAG_NOT_FOUND
