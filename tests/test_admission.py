"""A deployment begins within a window, with a verdict that was not used before and comes after the last one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import attestation_house as house
import pytest
from attestation_house import AT, Keys
from release_house import git, repository

from pytest_artisan.commands.attestation import policies_of
from pytest_artisan.release.admission import NotNow, admit
from pytest_artisan.release.attestation.attested import Attested, Check, Refused, Wanted
from pytest_artisan.release.record import path_of, read
from pytest_artisan.settings import SettingsError


class Place:
    """A repository that trusts a key, and the admission of what it signs."""

    def __init__(self, keys: Keys, root: Path) -> None:
        self.keys, self.root = keys, root

    def sign(self, name: str = "verdict", **given: Any) -> Path:
        return house.sign(self.root, self.keys, name=f"{name}.intoto.json", **given)

    def admit(self, verdict: Path, environment: Any = "dev", stage: float | None = None, **given: Any) -> Attested:
        now = given.pop("now", AT)
        wanted = Wanted(environment=environment, stage=stage)
        return admit(self.root, wanted, verdict, now, policies_of(self.root), **given)

    def refusal(self, verdict: Path, **given: Any) -> tuple[Check, str]:
        with pytest.raises(Refused) as caught:
            self.admit(verdict, **given)
        return caught.value.check, str(caught.value)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("first")
    keys = house.make_keys(folder)
    repository(folder / "shop")
    house.trust(folder / "shop", keys)
    return Place(keys, folder / "shop")


@pytest.fixture
def place(first: Place, tmp_path: Path) -> Place:
    return Place(first.keys, house.copy_of(first.root, tmp_path / "shop"))


def test_an_admitted_deployment_is_on_the_record(place: Place) -> None:
    found = place.admit(place.sign(stage=5), stage=5)
    [entry] = read(place.root)
    commit = git(place.root, "rev-parse", "HEAD")
    assert (entry.action, entry.subject, entry.verdict) == ("deploy", f"{commit} to dev", found.digest)
    assert entry.why == "stage 5 %; dev takes deployments at any time"


def test_no_verdict_is_used_twice(place: Place) -> None:
    path = place.sign()
    place.admit(path)
    check, text = place.refusal(path, now=AT + timedelta(hours=1))
    assert check is Check.USED
    assert text.endswith("to dev at 2026-11-24 10:00 UTC")
    path = path.rename(path.with_name("other.intoto.json"))
    assert place.refusal(path)[0] is Check.USED


def test_a_record_that_can_not_be_read_lets_nothing_begin(place: Place) -> None:
    path = place.sign()
    place.admit(path)
    record = path_of(place.root)
    record.write_text(record.read_text(encoding="utf-8").replace('"action"', '"akshun"'), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"record\.jsonl:1: "):
        place.admit(path)


def test_each_verdict_of_a_release_follows_the_last_one(place: Place) -> None:
    first, second = place.sign("first", stage=1), place.sign("second", stage=5)
    place.admit(first, stage=1)
    check, text = place.refusal(second, stage=5)
    digest = house.payload_sha256(first)
    assert check is Check.CHAIN
    assert f"the verdict before it is none, and the last one of {git(place.root, 'rev-parse', 'HEAD')} to dev" in text
    assert f"is sha256:{digest[:12]} (--artisan-previous)" in text
    after = place.sign("after", stage=5, previous=first)
    assert place.admit(after, stage=5).previous == digest
    # What comes after the first is no longer the next.
    assert place.refusal(place.sign("again", stage=25, previous=first), stage=25)[0] is Check.CHAIN
    assert place.admit(place.sign("last", stage=25, previous=after), stage=25)


def test_a_chain_does_not_begin_in_the_middle(place: Place) -> None:
    first = place.sign("first")
    assert place.refusal(place.sign(previous=first))[0] is Check.CHAIN
    assert read(place.root) == ()


def test_another_commit_and_another_environment_have_a_chain_of_their_own(place: Place) -> None:
    place.admit(place.sign("dev"))
    place.admit(place.sign("stg", environment="stg"), "stg")
    (place.root / "new.txt").touch()
    git(place.root, "add", "new.txt")
    git(place.root, "commit", "-q", "-m", "new")
    place.admit(place.sign("new"))
    assert [entry.action for entry in read(place.root)] == ["deploy"] * 3


def test_what_may_not_begin_now_leaves_the_verdict_unused(place: Place) -> None:
    path = place.sign(environment="prod")
    with pytest.raises(NotNow, match="no train to prod takes deployments now; the next window opens Fri 2026-11-27"):
        place.admit(path, "prod")
    assert read(place.root) == ()
    assert place.admit(path, "prod", override="the shop is down").environment == "prod"


def test_the_verdict_of_a_hotfix_is_for_a_hotfix_alone(place: Place) -> None:
    path = place.sign(policy="hotfix")
    check, text = place.refusal(path)
    assert (check, "--hotfix VERSION deploys it" in text) == (Check.PURPOSE, True)
    assert place.admit(path, hotfix="hotfix-20261124-1000").kind == "hotfix"


def test_keys_may_be_given_by_hand(place: Place, tmp_path: Path) -> None:
    path, other = place.sign(), house.make_keys(tmp_path, "other")
    assert place.refusal(path, keys=[other.public])[0] is Check.SIGNATURE
    assert place.admit(path, keys=[place.keys.public])
