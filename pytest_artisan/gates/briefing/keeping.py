"""What an ensemble remembers, for how long, and for whom."""

from __future__ import annotations

import asyncio

from pytest_artisan.ensemble.answers import Mode, Outcome
from pytest_artisan.gates.briefing.resilience import Expect
from pytest_artisan.gates.briefing.rig import TTL, Rig, Say

_HERD = 50


async def cache(rig: Rig, expect: Expect) -> None:
    """The same wish is answered once, until the answer is outdated or the models change."""

    async def asks(wish: str, wanted: int, mode: Mode | None = "fast") -> None:
        before = len(rig.members.asked)
        answer = await ensemble.answer(wish, mode)
        made = len(rig.members.asked) - before
        what = f"{wish!r}, {mode}, at {rig.clock.time - start:g} s: "
        expect(f"{what}{made} requests, not {wanted}", made == wanted)
        expect(f"{what}{answer.outcome}", (answer.outcome is Outcome.CACHED) == (wanted == 0))

    async with rig.ensemble() as ensemble:
        start = rig.clock.time
        await asks("Fresh citrus", 1)
        for same in ("Fresh citrus", "fresh  CITRUS ", "fresh\u200b \tcitrus\n", "ｆｒｅｓｈ citrus"):  # noqa: RUF001
            await asks(same, 0)
        await asks("fresh citrus!", 1)
        await asks("fresh citrus", 2, "balanced")
        rig.clock.time = start + TTL - 1
        await asks("Fresh citrus", 0)
        rig.clock.time = start + TTL + 1
        await asks("Fresh citrus", 1)
        rig.members.always["validator"] = Say(422)
        await asks("what nobody checked", 2, "balanced")
        await asks("what nobody checked", 2, "balanced")
    keys = []
    for version in ("", "", "2"):
        async with rig.ensemble(version=version) as ensemble:
            keys.append((await ensemble.answer("Fresh citrus", "fast")).key)
    expect("the same question has several keys, so processes can not share a cache", keys[0] == keys[1])
    expect("another model's answer has the same key, so it outlives the model", keys[0] != keys[2])


async def herd(rig: Rig, expect: Expect) -> None:
    """Many who ask for one thing at one time make one call, and whoever goes away takes nobody with them."""
    async with rig.ensemble() as ensemble:
        tasks = [asyncio.ensure_future(ensemble.answer("one wish of many", "fast")) for _ in range(_HERD)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        made = rig.members.count("primary")
        expect(f"{_HERD} at once: {made} requests, not 1", made == 1)
        failed = [answer for answer in answers[1:] if isinstance(answer, BaseException)]
        expect(f"one that goes away takes others with it: {failed[:1]}", not failed)
        briefs = {answer.brief.mood for answer in answers[1:] if not isinstance(answer, BaseException)}
        expect(f"a herd gets several answers: {briefs}", len(briefs) == 1)
        expect("the first of a herd can not go away", isinstance(answers[0], asyncio.CancelledError))


async def alike(rig: Rig, expect: Expect) -> None:
    """A wish in other words of its language is the same from a cosine of 0.9, if it forbids nothing and a model answers."""
    near, far = [0.91, 0.4146], [0.89, 0.456]
    rig.members.vectors.update(
        {"warm wood": [1.0, 0.0], "wood, warm": near, "cold wood": far, "warm wood without rose": [1.0, 0.0]}
    )

    async def asks(wish: str, wanted: int) -> None:
        before = rig.members.count("primary")
        await ensemble.answer(wish, "fast")
        made = rig.members.count("primary") - before
        expect(f"{wish!r}: {made} requests, not {wanted}", made == wanted)

    async with rig.ensemble(embedding=True) as ensemble:
        await asks("warm wood", 1)
        await asks("wood, warm", 0)
        await asks("cold wood", 1)
        await asks("따뜻한 나무", 1)
        before = len(rig.members.asked)
        await ensemble.answer("wood, warm", "balanced")
        checked = ("validator", "check") in rig.members.tasks(before)
        expect("a wish that is to be checked is answered like one that nobody checked", checked)
        await asks("warm wood without rose", 1)
        rig.clock.time += TTL + 1
        rig.members.vectors["wood so warm"] = near
        await asks("wood so warm", 1)
        rig.members.down("embedding")
        rig.members.vectors["woods, warm"] = near
        await asks("woods, warm", 1)
        before = len(rig.members.asked)
        await ensemble.answer("wood again", "balanced")
        expect("a lost embedding model stops the rest", ("primary", "brief") in rig.members.tasks(before))
    async with rig.ensemble() as ensemble:
        await asks("warm wood", 1)
        await asks("wood, warm", 1)
