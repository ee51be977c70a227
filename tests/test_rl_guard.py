"""Checkpoints that continue bit for bit or are refused, and updates that are undone."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rl_by_hand import rollout_of, trainer_of

from pytest_artisan.rl.checkpoints import CheckpointError, State, generator_state, pack, restore_generator, unpack
from pytest_artisan.rl.guard import Bounds, Guard
from pytest_artisan.rl.optimization import Schedule
from pytest_artisan.rl.policies import Categorical, Gaussian
from pytest_artisan.rl.rollouts import Rollout
from pytest_artisan.rl.trainers import PPO, REINFORCE, Settings, Trainer

SMALL = Settings(epochs=2, minibatch=10, hidden=(4,), updates=50, most_kl=9.0)
MAGIC = b"artisan-checkpoint-1\n"


def trained(kind: type[Trainer] = PPO, updates: int = 3, seed: int = 0) -> Trainer:
    trainer = trainer_of(kind, SMALL, Gaussian(2), seed=seed)
    for number in range(updates):
        trainer.update(rollout_of(trainer, seed=number))
    return trainer


# Checkpoints.


@pytest.mark.parametrize("kind", [PPO, REINFORCE])
def test_a_restored_trainer_goes_on_bit_for_bit(kind: type[Trainer]) -> None:
    one, other = trained(kind), trained(kind, 1, seed=5)
    checkpoint = pack(one.state())
    assert pack(one.state()) == checkpoint != pack(other.state())
    other.restore(unpack(checkpoint))
    assert pack(other.state()) == checkpoint
    for number in range(7, 10):
        rollouts = [rollout_of(trainer, seed=number) for trainer in (one, other)]
        assert one.update(rollouts[0]) == other.update(rollouts[1])
    assert pack(one.state()) == pack(other.state()) != checkpoint
    assert_array_equal(one.rng.random(9), other.rng.random(9))


def test_a_state_is_a_copy() -> None:
    trainer = trained()
    state = trainer.state()
    before = pack(state)
    trainer.update(rollout_of(trainer))
    assert pack(state) == before
    trainer.restore(state)
    trainer.update(rollout_of(trainer))
    assert pack(state) == before


@pytest.mark.parametrize("kind", [np.random.SFC64, np.random.PCG64, np.random.Philox, np.random.MT19937])
def test_a_generator_goes_on_in_the_middle_of_a_word(kind: Any) -> None:
    rng, other = np.random.Generator(kind(1)), np.random.Generator(kind(2))
    rng.integers(9, size=3, dtype=np.uint32)
    restore_generator(other, generator_state(rng))
    assert_array_equal(rng.integers(2**31, size=9, dtype=np.uint32), other.integers(2**31, size=9, dtype=np.uint32))


def assert_refused(wrong: Callable[[], Any]) -> None:
    with pytest.raises(CheckpointError) as refusal:
        wrong()
    assert str(refusal.value).isprintable()


def test_a_damaged_checkpoint_is_refused() -> None:
    checkpoint = pack(trained().state())
    for place in range(len(checkpoint)):
        damaged = bytearray(checkpoint)
        damaged[place] ^= 1 << place % 8
        assert_refused(partial(unpack, bytes(damaged)))
    for length in range(0, len(checkpoint), 3):
        assert_refused(partial(unpack, checkpoint[:length]))
    assert_refused(lambda: unpack(checkpoint + b"\n"))


def zipped(content: bytes, name: str = "parameters.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def numpy_file(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


HUGE = b"\x93NUMPY\x01\x00F\x00{'descr':'<f8','fortran_order':False,'shape':(%d,)}" % 10**15
FORGED = {
    "nothing": b"",
    "pickle": pickle.dumps({"parameters": np.zeros(3)}),
    "pickled array": numpy_file(np.array([{}], dtype=object)),
    "array": numpy_file(np.zeros(3)),
    "zip of a pickled array": zipped(numpy_file(np.array([{}], dtype=object))),
    "zip of a pickle": zipped(pickle.dumps({})),
    "zip of text": zipped(b"text", "README"),
    "zip of half an array": zipped(numpy_file(np.zeros(30))[:-9]),
    "zip of an endless array": zipped(HUGE.ljust(79) + b"\n"),
    "half a zip": zipped(numpy_file(np.zeros(3)))[:-30],
    "text": b"text",
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED.keys())
def test_content_that_is_no_state_is_refused_with_a_digest_that_fits(content: bytes) -> None:
    assert_refused(lambda: unpack(MAGIC + hashlib.sha256(content).digest() + content))


def with_generator(change: Callable[[dict[str, Any]], Any]) -> Callable[[State], State]:
    def changed(state: State) -> State:
        content = change(json.loads(state["generator"].tobytes()))
        return state | {"generator": np.frombuffer(json.dumps(content).encode(), np.uint8)}

    return changed


def with_array(name: str, change: Callable[[Any], Any]) -> Callable[[State], State]:
    return lambda state: state | {name: np.asarray(change(state[name].copy()))}


def spoilt(value: float) -> Callable[[Any], Any]:
    return lambda array: np.append(array[:-1], array.dtype.type(value))


FOREIGN: dict[str, Callable[[State], State]] = {
    "another algorithm": lambda state: trained(REINFORCE).state(),
    "another shape": lambda state: trainer_of(PPO, replace(SMALL, hidden=(5,)), Gaussian(2)).state(),
    "another policy": lambda state: trainer_of(PPO, SMALL, Categorical(3)).state(),
    "two algorithms": with_array("algorithm", lambda name: [name, name]),
    "an algorithm that is a number": with_array("algorithm", lambda name: 3),
    "double precision": with_array("parameters", lambda array: array.astype(float)),
    "a second axis": with_array("second", lambda array: array[None]),
    "counts that are fractions": with_array("counts", lambda array: array / 2),
    "one count": with_array("counts", lambda array: array[:1]),
    "other environments": with_array("returns", lambda array: array[:-1]),
    "one array less": lambda state: {name: array for name, array in state.items() if name != "first"},
    "one array more": lambda state: state | {"third": np.zeros(3)},
    **{
        f"{value} in {name}": with_array(name, spoilt(value))
        for name in ("parameters", "first", "second", "scale", "returns")
        for value in (np.nan, np.inf)
    },
    "another generator": lambda state: state | {"generator": generator_state(np.random.default_rng(1))},
    "no generator": with_array("generator", lambda array: array[:5]),
    "a generator's name alone": with_generator(lambda saved: saved["bit_generator"]),
    "a list for a generator": with_generator(lambda saved: [saved]),
    "a generator without numbers": with_generator(lambda saved: saved | {"state": {}}),
    "a generator of text": with_generator(lambda saved: saved | {"state": "SFC64"}),
    "a generator's negative number": with_generator(lambda saved: saved | {"state": {"state": [1, 2, 3, -4]}}),
    "a generator's large number": with_generator(lambda saved: saved | {"state": {"state": [1, 2, 3, 2**70]}}),
    "a generator of three numbers": with_generator(lambda saved: saved | {"state": {"state": [1, 2, 3]}}),
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_state_that_does_not_fit_changes_nothing(change: Callable[[State], State]) -> None:
    other = change(trained(seed=3).state())
    trainer = trained()
    before, guard = pack(trainer.state()), Guard(trainer)
    assert_refused(lambda: trainer.restore(unpack(pack(other))))
    assert pack(trainer.state()) == before
    levels = {"recent losses": np.ones(2), "recent returns": np.ones((2, 2))}
    assert_refused(lambda: guard.restore(other | levels))
    assert (pack(trainer.state()), pack(guard.good)) == (before, before)
    assert guard.state()["recent losses"].size == 0


LEVELS: dict[str, Any] = {"text": ["a"], "one number": 1.0, "three axes": np.ones((2, 2, 2)), "nan": [np.nan] * 2}


@pytest.mark.parametrize("name", ["recent losses", "recent returns"])
@pytest.mark.parametrize("wrong", [*LEVELS.values(), None], ids=[*LEVELS, "none"])
def test_levels_that_are_none_change_nothing(name: str, wrong: Any) -> None:
    guard = Guard(trained())
    before = pack(guard.state())
    other = Guard(trained(seed=3)).state() | {name: np.asarray(wrong)}
    if wrong is None:
        del other[name]
    assert_refused(lambda: guard.restore(other))
    assert pack(guard.state()) == before


# Updates that are undone.

CALM = replace(SMALL, epochs=1, minibatch=99, rate=Schedule(1e-4, 1e-4), scale_rewards=False)


def watched_for(updates: int, level: float = 0.0, kind: type[Trainer] = PPO) -> Guard:
    """A guard that has seen returns of this level, and policies that differ."""
    guard = Guard(trainer_of(kind, CALM, Gaussian(2)))
    for number in range(updates):
        assert not guard.update(returned(guard, level, number)).rolled_back
    return guard


def returned(guard: Guard, level: float, seed: int, episodes: int = 8) -> Rollout:
    returns = level + np.random.default_rng((seed, 77)).normal(size=episodes)
    return rollout_of(guard.trainer, returns=returns, seed=seed)


def without_generator(state: State) -> bytes:
    return pack({name: array for name, array in state.items() if name != "generator"})


def far(guard: Guard) -> Rollout:
    guard.trainer.settings = replace(CALM, rate=Schedule(0.5, 0.5))
    return returned(guard, 0, 99)


def costly(guard: Guard) -> Rollout:
    rollout = returned(guard, 0, 99)
    return replace(rollout, rewards=rollout.rewards + np.float32(9))


def spoilt_rewards(value: float) -> Callable[[Guard], Rollout]:
    def rollout(guard: Guard) -> Rollout:
        found = returned(guard, 0, 99)
        found.rewards[1, 1] = value
        return found

    return rollout


HARM = {
    r"^KL \d.* > 0\.03$": far,
    r"^loss \d.* > 3 x 0\.\d+$": costly,
    r"^loss is nan$": spoilt_rewards(np.nan),
    r"^loss is (nan|inf)$": spoilt_rewards(np.inf),
}


@pytest.mark.parametrize(("cause", "harm"), HARM.items(), ids=["kl", "loss", "nan", "inf"])
def test_harm_is_undone_and_named(cause: str, harm: Callable[[Guard], Rollout]) -> None:
    guard = watched_for(8)
    before, levels = guard.trainer.state(), guard.state()["recent losses"]
    with np.errstate(all="ignore"):
        metrics = guard.update(harm(guard))
    assert re.search(cause, metrics.rolled_back), metrics.rolled_back
    assert without_generator(guard.trainer.state()) == without_generator(before)
    assert guard.trainer.state()["generator"].tobytes() != before["generator"].tobytes()
    assert_array_equal(guard.state()["recent losses"], levels)
    guard.trainer.settings = CALM
    assert not guard.update(returned(guard, 0, 100)).rolled_back


@pytest.mark.parametrize("harm", [far, spoilt_rewards(np.nan)])
def test_the_first_update_can_be_undone(harm: Callable[[Guard], Rollout]) -> None:
    guard = watched_for(0)
    before = guard.trainer.network.parameters.copy()
    with np.errstate(all="ignore"):
        assert guard.update(harm(guard)).rolled_back
    assert_array_equal(guard.trainer.network.parameters, before)


@pytest.mark.parametrize("level", [-1000.0, 0.0, 1000.0])
@pytest.mark.parametrize("kind", [PPO, REINFORCE])
def test_a_return_that_falls_takes_back_the_update_before(kind: type[Trainer], level: float) -> None:
    guard = watched_for(8, level, kind)
    proven = guard.trainer.state()
    assert not guard.update(returned(guard, level + 5, 50)).rolled_back
    failed = guard.trainer.state()
    metrics = guard.update(returned(guard, level - 4, 51))
    assert metrics.rolled_back.startswith(f"return {metrics.episode_return:.4g} fell from ")
    assert without_generator(guard.trainer.state()) == without_generator(proven) != without_generator(failed)
    assert not guard.update(returned(guard, level, 52)).rolled_back


@pytest.mark.parametrize(("updates", "episodes", "fell"), [(3, 8, False), (4, 8, False), (5, 8, True), (8, 1, False)])
def test_a_fall_takes_five_levels_and_two_episodes(updates: int, episodes: int, fell: bool) -> None:
    guard = watched_for(updates)
    assert bool(guard.update(returned(guard, -50, 50, episodes)).rolled_back) == fell


def test_levels_are_those_of_the_last_ten_updates() -> None:
    guard = watched_for(12, 100)
    for number in range(5):
        # The old level goes down with the bounds wide open.
        guard._bounds = Bounds(deviations=1e9)
        guard.update(returned(guard, 0, number))
    state = guard.state()
    assert (state["recent losses"].shape, state["recent returns"].shape) == ((10,), (10, 2))
    assert state["recent returns"][:, 0] == pytest.approx([100] * 5 + [0] * 5, abs=2)


@pytest.mark.parametrize("level", [-1000.0, 0.0, 1000.0])
@pytest.mark.parametrize("kind", [PPO, REINFORCE])
def test_noise_is_no_harm(kind: type[Trainer], level: float) -> None:
    """Few episodes in a rollout, of one policy that stays as it is."""
    guard = Guard(trainer_of(kind, replace(CALM, rate=Schedule(0, 0)), Categorical(2)))
    episodes = np.random.default_rng(4).integers(2, 9, 300)
    undone = [guard.update(returned(guard, level, seed, size)).rolled_back for seed, size in enumerate(episodes)]
    assert sum(map(bool, undone)) <= 1


def test_an_environment_that_pays_less_stops_nothing_for_good() -> None:
    guard = watched_for(8)
    undone = [guard.update(returned(guard, -50, seed)).rolled_back for seed in range(10, 20)]
    assert [bool(cause) for cause in undone] == [True, *[False] * 9]
    assert guard.trainer.updates > 8
    assert guard.update(returned(guard, -100, 20)).rolled_back


def test_what_was_seen_to_fail_never_comes_back() -> None:
    """Policies are good or bad by a draw, and some rollouts are spoilt on top."""
    guard, rng = watched_for(8), np.random.default_rng(11)
    failing: set[bytes] = set()
    falls = 0
    for number in range(20, 120):
        now = guard.trainer.network.parameters.tobytes()
        rollout = returned(guard, -9.0 * (now in failing), number)
        if rng.random() < 0.3:
            rollout.rewards[0, 0] = np.nan
        with np.errstate(all="ignore"):
            undone = guard.update(rollout).rolled_back
        assert undone.startswith("return") == (now in failing)
        falls += now in failing
        new = guard.trainer.network.parameters.tobytes()
        assert new not in failing
        assert (new == guard.good["parameters"].tobytes()) == bool(undone)
        if not undone and rng.random() < 0.4:
            failing.add(new)
    assert falls > 10


def test_a_restored_guard_knows_what_is_usual() -> None:
    one, other = watched_for(8), Guard(trained(seed=5))
    other.trainer.settings = CALM
    other.restore(unpack(pack(one.state())))
    assert pack(other.state()) == pack(one.state())
    rollouts = [returned(guard, -50, 60) for guard in (one, other)]
    found = [guard.update(rollout) for guard, rollout in zip((one, other), rollouts, strict=True)]
    assert found[0] == found[1]
    assert found[1].rolled_back.startswith("return")
