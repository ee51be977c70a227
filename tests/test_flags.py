"""Which users a flag reaches: digests, percentages, and the ways in which a flag is changed."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from pytest_artisan.policy import load_policy
from pytest_artisan.release.flags.bucketing import BUCKETS, bucket, buckets_of, digest, drawn, variant
from pytest_artisan.release.flags.definitions import flags_of
from pytest_artisan.release.flags.rules import Rule
from pytest_artisan.release.flags.states import State, shift
from pytest_artisan.release.flags.steps import disabling, enabling, rolling_out
from pytest_artisan.settings import SettingsError

FLAGS = flags_of(Path("/nowhere"))
STATES = st.builds(State, st.booleans(), st.integers(0, BUCKETS))

# Frozen: users stay where they are, whatever becomes of this package.
GOLDEN: list[tuple[str, str | int, int, str]] = [
    ("ppo_algorithm", "alice", 5167, "c"),
    ("ppo_algorithm", "bob", 4986, "c"),
    ("rl_pipeline_enabled", "alice", 8156, "a"),
    ("advanced_rlhf", "user-1", 5734, "b"),
    ("advanced_rlhf", "x" * 200, 6918, "a"),
    ("a", 7, 8619, "a"),
    ("a", "7", 8619, "a"),
    ("a", "007", 457, "a"),
    ("new_moga_optimizer", "조향사", 8062, "a"),
    ("new_moga_optimizer", "caf\u00e9", 2755, "a"),
    ("new_moga_optimizer", "cafe\u0301", 2755, "a"),
    ("f" * 64, "\U0001f339", 8800, "c"),
]


def test_users_stay_in_their_bucket() -> None:
    for flag, user, place, name in GOLDEN:
        assert (bucket(flag, user), variant(flag, user, ("a", "b", "c"))) == (place, name), (flag, user)


@given(st.from_regex("[a-z][a-z0-9_-]{0,63}", fullmatch=True), st.text(st.characters(max_codepoint=127)))
def test_a_bucket_is_that_share_of_the_digest(flag: str, user: str) -> None:
    data = hashlib.blake2b(user.encode(), digest_size=8, key=flag.encode(), person=b"rollout").digest()
    assert bucket(flag, user) == int.from_bytes(data, "big") * 10_000 // 2**64


@given(st.text())
def test_any_text_is_a_user(user: str) -> None:
    assert 0 <= bucket("flag", user) < BUCKETS
    assert 0 <= bucket("flag", "half \ud800" + user) < BUCKETS


def test_no_user_is_lost_on_the_way_up() -> None:
    def values(base: bool, moved: int) -> list[bool]:
        rule = Rule("ppo_algorithm", FLAGS["ppo_algorithm"], State(base, moved), changed=True)
        return [rule.value(f"user-{number}") for number in range(400)]

    for base in (True, False):
        steps = [values(base, 100 * percent) for percent in range(101)]
        assert steps[0] == [base] * 400
        assert steps[100] == [not base] * 400
        for before, after in itertools.pairwise(steps):
            assert all(now == base or then != base for then, now in zip(after, before, strict=True))


def test_users_are_spread_evenly_in_every_flag() -> None:
    users, cells, flags = 2_000, 20, 100
    worst = 0.0
    for number in range(flags):
        start = digest(f"flag-{number}")
        counts = np.bincount([drawn(start, f"user-{user}", cells) for user in range(users)], minlength=cells)
        worst = max(worst, float(((counts - users / cells) ** 2).sum() / (users / cells)))
    assert chi2.sf(worst, cells - 1) > 0.01 / flags, "Bonferroni"


def test_flags_and_variants_know_nothing_of_each_other() -> None:
    users = [f"user-{number}" for number in range(20_000)]
    starts = [digest(flag) for flag in FLAGS] + [digest(flag, "variant") for flag in FLAGS]
    places = np.array([[drawn(start, user, BUCKETS) for user in users] for start in starts[::3]])
    apart = np.corrcoef(places) - np.eye(len(places))
    # Four and a half standard deviations; a tenth of the users, and so wider than the goal of 0.01.
    assert np.abs(apart).max() < 0.032


@pytest.mark.parametrize(
    ("given", "buckets"), [(5, 500), ("5", 500), ("0.01", 1), (0.01, 1), (0.29, 29), (99.99, 9_999), (100, BUCKETS), ("5.1", 510), (5.0, 500), (0, 0)],
    ids=repr,
)  # fmt: skip
def test_percentages_are_read_exactly(given: str | float, buckets: int) -> None:
    assert buckets_of(given) == buckets


@pytest.mark.parametrize(
    "given", ["nan", "inf", "1e3", "-1", "5%", "", " 5", "5\n", "100.01", "0.001", "1_0", "\u0665", "0x5", "5.", ".5", "+5",
              float("nan"), float("inf"), -1, 101, 0.005, 0.1 + 0.2, 1e-7, 10**30, True],
    ids=repr,
)  # fmt: skip
def test_what_is_no_percentage_is_refused_and_not_rounded(given: str | float) -> None:
    with pytest.raises(SettingsError, match=r"is no percentage; write 0 to 100, in steps of 0\.01"):
        buckets_of(given)


@given(STATES, STATES)
def test_a_shift_counts_every_bucket_that_changes(before: State, after: State) -> None:
    # Each only compares and negates, which an array of all places does as well.
    then, now = (np.asarray(state.value(np.arange(BUCKETS))) for state in (before, after))  # type: ignore[arg-type]
    assert shift(before, after) == ((~then & now).sum(), (then & ~now).sum())
    assert after.on == now.sum()


@given(STATES, st.integers(0, BUCKETS))
def test_a_rollout_moves_that_share_away_from_what_was_set_for_all(state: State, moved: int) -> None:
    after = rolling_out(f"{moved / 100:g}")(state)
    changed = shift(State(state.base), after)
    assert changed.to_on + changed.to_off == moved
    assert after.common == state.base or moved == BUCKETS
    assert shift(after, disabling(after)).to_on == 0
    assert disabling(after).on == 0


def test_a_launched_flag_at_5_percent_moves_5_percent_of_users() -> None:
    state = State(FLAGS["ppo_algorithm"].default)
    assert str(shift(state, rolling_out(5)(state))) == "5 % of users move to off"
    assert [rolling_out(share)(state).on for share in (5, 25, 100)] == [9_500, 7_500, 0]
    assert enabling("ppo_algorithm", FLAGS["ppo_algorithm"], "prod")(State(True, BUCKETS)) == State(True)


@pytest.mark.parametrize(
    ("before", "share", "lost"), [(State(True), 5, "95 %"), (State(False, 2_500), 5, "20 %"), (State(True, 9_800), 5, "2 %")]
)  # fmt: skip
def test_to_enable_a_flag_takes_it_from_nobody(before: State, share: int, lost: str) -> None:
    with pytest.raises(SettingsError, match=f"would take it from {lost}; artisan flags rollout f 5 "):
        enabling("f", FLAGS["ppo_algorithm"], "dev", share)(before)


@given(STATES, st.integers(0, BUCKETS))
def test_enabling_for_a_share_is_on_for_that_share_or_refused(before: State, share: int) -> None:
    try:
        after = enabling("f", FLAGS["ppo_algorithm"], "dev", f"{share / 100:g}")(before)
    except SettingsError:
        assert shift(before, State(False, share)).to_off
    else:
        assert after.on == share
        assert shift(before, after).to_off == 0


def test_the_seven_flags_of_the_strategy() -> None:
    on = {name for name, flag in FLAGS.items() if flag.default}
    assert on == {
        "rl_pipeline_enabled", "llm_ensemble_enabled", "ppo_algorithm", "cache_enabled", "circuit_breaker_enabled"
    }  # fmt: skip
    assert FLAGS.keys() - on == {"new_moga_optimizer", "advanced_rlhf"}
    assert FLAGS["advanced_rlhf"].environments == ("dev",)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[tool.artisan.flags]\nppo_algorithm = { default = true, about = 'x' }", "flags]: 'ppo_algorithm' is a flag already"),
        ("[tool.artisan.flags]\n'Upper' = { default = true, about = 'x' }", "'Upper' is no name of a flag"),
        (f"[tool.artisan.flags]\n{'f' * 65} = {{ default = true, about = 'x' }}", "is no name of a flag"),
        ("[tool.artisan.flags]\nx = { default = 'yes', about = 'x' }", "flags] x default: expected bool"),
        ("[tool.artisan.flags]\nx = { default = true }", "flags] x: Object missing required field about"),
        ("[tool.artisan.flags]\nx = { default = true, abuot = 'x' }", "has no key 'abuot'; the nearest is 'about'"),
        ("[tool.artisan.flags]\nx = { default = true, about = 'x', environments = ['qa'] }", "Invalid enum value 'qa'"),
        ("[tool.artisan.flags]\nx = { default = true, about = 'x', environments = [] }", "environments is empty"),
        ("[tool.artisan.flags]\nx = 5", "expected a table, got int"),
        ("[tool.artisan]\nflags = 5", "expected"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_told_in_one_line(tmp_path: Path, table: str, told: str) -> None:
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    for read in (flags_of, load_policy):
        with pytest.raises(SettingsError) as caught:
            read(tmp_path)
        assert told in str(caught.value)
        assert str(caught.value).startswith("pyproject.toml [tool.artisan")
