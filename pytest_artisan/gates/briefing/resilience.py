"""What an ensemble does while its members answer, stumble, and are gone: each scenario against real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise, product
from time import monotonic

from pytest_artisan.ensemble.answers import MODES, ROLES, Mode, Outcome, Source
from pytest_artisan.gates.briefing.rig import BRIEF, CHECKED, HINTS, Rig, Say

# Says what has to be so, and whether it is.
Expect = Callable[[str, bool], None]

_STAGES: dict[Mode, set[tuple[str, str]]] = {
    "fast": {("primary", "brief")},
    "balanced": {("primary", "brief"), ("validator", "check")},
    "creative": {("primary", "brief"), ("validator", "check"), ("creative", "hints")},
}
_WORDS = {"en": "a wish of citrus and warm wood ", "ko": "시트러스와 따뜻한 나무 향을 원해요 "}
_BY_LENGTH: dict[int, Mode] = {49: "fast", 50: "balanced", 200: "balanced", 201: "creative"}
_FAILURES, _PAUSE = 3, 60.0
# Real seconds: what an answer may take where members hang, and what a busy machine may take beyond it.
_PATIENCE_S, _LEEWAY_S = 0.3, 5.0


async def routing(rig: Rig, expect: Expect) -> None:
    """By the length of the text in either language, or as the caller asks."""
    async with rig.ensemble() as ensemble:
        for (language, words), (length, mode) in product(_WORDS.items(), _BY_LENGTH.items()):
            wish = f"{words * length}"[: length - 1] + "."
            asked = len(rig.members.asked)
            answer = await ensemble.answer(wish)
            what = f"{length} characters, {language}"
            expect(f"{what}: mode {answer.mode}, not {mode}", answer.mode == mode)
            tasks = rig.members.tasks(asked)
            expect(f"{what}: asked {tasks}", set(tasks) == _STAGES[mode] and len(tasks) == len(_STAGES[mode]))
        for mode in MODES:
            asked = len(rig.members.asked)
            await ensemble.answer(f"as asked, {mode}", mode)
            tasks = rig.members.tasks(asked)
            expect(f"mode {mode} was asked for: asked {tasks}", set(tasks) == _STAGES[mode])


async def pipeline(rig: Rig, expect: Expect) -> None:
    """What each mode's members say is what comes out, and a check lifts no prohibition."""
    async with rig.ensemble() as ensemble:
        for mode in MODES:
            answer = await ensemble.answer(f"a wish, {mode}", mode)
            brief = answer.brief
            for field, said in (BRIEF if mode == "fast" else {**CHECKED, "allergen_ceiling": 40}).items():
                given = getattr(brief, field)
                expect(f"{mode}: {field} {given}, not {said}", field == "forbidden_ingredients" or given == said)
            wanted = HINTS if mode == "creative" else []
            expect(f"{mode}: hints {brief.hints}, not {wanted}", list(brief.hints) == wanted)
            expect(f"{mode}: forgets what the wish forbids", "Rose oil" in brief.forbidden_ingredients)
            expect(
                f"{mode}: {answer.outcome} of {answer.source}", (answer.outcome, answer.source) == ("raw", "primary")
            )
            added = "Coumarin" in brief.forbidden_ingredients
            expect(f"{mode}: what the validator forbids", added == (mode != "fast"))
        shown = [asked.brief for asked in rig.members.asked if asked.task == "check"]
        seen = all(brief is not None and brief["mood"] == BRIEF["mood"] for brief in shown)
        expect("the validator does not see the brief that it checks", bool(shown) and seen)
        rig.members.scripts["validator"].append(Say(content=json.dumps({**CHECKED, "allergen_ceiling": 20})))
        answer = await ensemble.answer("a wish of somebody with allergies", "balanced")
        expect("a lower allergen ceiling of the validator does not count", answer.brief.allergen_ceiling == 20)
        rig.members.always["validator"] = Say(503)
        answer = await ensemble.answer("a wish that nobody checks", "balanced")
        expect("a missing check is not remarked upon", bool(answer.remarks) and answer.brief.mood == BRIEF["mood"])


async def retries(rig: Rig, expect: Expect) -> None:
    """Up to 3 attempts, with pauses from 0.5 s that double and stray, and only where asking again may help."""
    pauses = []
    async with rig.ensemble() as ensemble:
        for number in range(5):
            rig.members.scripts["primary"].extend([Say(503), Say(cut=True)])
            calls, rig.clock.slept = rig.members.count("primary"), []
            answer = await ensemble.answer(f"success at last {number}")
            expect(f"success at last: {answer.outcome}", answer.outcome is Outcome.RAW)
            expect("success at last: not 3 requests", rig.members.count("primary") - calls == 3)
            pauses.append(tuple(rig.clock.slept))
        sound = all(len(pair) == 2 and 0.5 <= pair[0] <= 1 <= pair[1] <= 2 for pair in pauses)
        expect(f"pauses are not 0.5 to 1 s and 1 to 2 s: {pauses}", sound)
        expect("pauses do not stray", all(a != b for a, b in pairwise(pauses)))
        for status, content, requests in ((429, None, 2), (400, None, 1), (401, None, 1), (200, "no brief", 1)):
            headers = ((b"retry-after", b"7"),) if status == 429 else ()
            rig.members.scripts["primary"].append(Say(status, content, headers=headers))
            calls, rig.clock.slept = rig.members.count("primary"), []
            answer = await ensemble.answer(f"status {status}")
            made = rig.members.count("primary") - calls
            expect(f"status {status}, content {content}: {made} requests, not {requests}", made == requests)
            expect(f"status {status}: nobody answered", answer.outcome in (Outcome.RAW, Outcome.FALLBACK))
            expect("Retry-After is not kept", status != 429 or rig.clock.slept == [7.0])
    async with rig.ensemble() as ensemble:
        rig.members.down("primary")
        calls = rig.members.count("primary")
        await ensemble.answer("never a success")
        expect("never a success: not 3 requests", rig.members.count("primary") - calls == 3)
    for silence in (Say(hang=True), Say(drip=True)):
        await _in_time(rig, expect, silence)


async def _in_time(rig: Rig, expect: Expect, silence: Say) -> None:
    """A member that never ends leaves time for the next; where none ends, the mode's time is kept all the same."""
    what = "a member that hangs" if silence.hang else "a member that drips"
    async with rig.ensemble(patience=_PATIENCE_S) as ensemble:
        started = monotonic()
        rig.members.always["primary"] = silence
        answer = await ensemble.answer(what)
        expect(f"{what}: {answer.outcome} of {answer.source}", answer.source is Source.VALIDATOR)
        rig.members.always.update(dict.fromkeys(ROLES, silence))
        answer = await ensemble.answer(f"all alike: {what}")
        expect(f"{what}, and all others: {answer.outcome}", answer.outcome is Outcome.DEFAULT)
        taken = monotonic() - started
        expect(f"{what}: {taken:.1f} s for two answers of {_PATIENCE_S} s", taken < 2 * _PATIENCE_S + _LEEWAY_S)
    rig.members.always.clear()


async def fallbacks(rig: Rig, expect: Expect) -> None:
    """Primary, the validator's model, the creative's model, an earlier answer, a brief that says it is none."""

    async def check(wish: str, source: Source, outcome: Outcome) -> None:
        answer = await ensemble.answer(wish, "fast")
        rig.clock.time += 2 * _PAUSE  # all breakers let somebody through again
        text = f"without {', '.join(rig.members.always) or 'nobody'}: {answer.outcome} of {answer.source}"
        expect(f"{text}, not {outcome} of {source}", (answer.source, answer.outcome) == (source, outcome))
        expect(f"{text} without a remark", bool(answer.remarks) == (source in (Source.CACHE, Source.DEFAULT)))

    async with rig.ensemble() as ensemble:
        await check("known", Source.PRIMARY, Outcome.RAW)
        rig.clock.time += 1_000  # outdated now
        rig.members.down("primary")
        await check("first", Source.VALIDATOR, Outcome.FALLBACK)
        rig.members.down("validator")
        await check("second", Source.CREATIVE, Outcome.FALLBACK)
        rig.members.down("creative")
        await check("known", Source.CACHE, Outcome.FALLBACK)
        await check("unknown", Source.DEFAULT, Outcome.DEFAULT)
        rig.members.always.clear()
        for wish in ("first", "second", "known", "unknown"):
            await check(wish, Source.PRIMARY, Outcome.RAW)
        rig.members.always["primary"] = Say(content="not a brief")
        before = rig.heard.schema_failures
        await check("third", Source.VALIDATOR, Outcome.FALLBACK)
        expect("a schema failure is not counted", rig.heard.schema_failures == before + 1)
        rig.members.always["primary"] = Say(content=f"Here you are:\n```json\n{json.dumps(BRIEF)}\n```")
        await check("fourth", Source.PRIMARY, Outcome.REPAIRED)
        expect("a repaired answer is no schema failure", rig.heard.schema_failures == before + 2)


async def breaker(rig: Rig, expect: Expect) -> None:
    """Closed, open after 3 failures in a row, half-open after 60 s for one call, closed by one success."""
    async with rig.ensemble() as ensemble:

        async def calls(text: str, wanted: int, n: int = 1) -> None:
            before = rig.members.count("primary")
            answers = await asyncio.gather(*(ensemble.answer(f"{text} {number}") for number in range(n)))
            made = rig.members.count("primary") - before
            expect(f"{text}: {made} calls of primary, not {wanted}", made == wanted)
            expect(f"{text}: not answered", all(answer.outcome is not Outcome.DEFAULT for answer in answers))

        for number in range(_FAILURES):
            rig.members.scripts["primary"].append(Say(400))
            await calls(f"refused {number}", 1)
        await calls("three refused requests opened it", 1)
        rig.members.scripts["primary"].extend([Say(503), Say(503)])
        await calls("two failures and a success", 3)
        rig.members.down("primary")
        await calls("three failures", _FAILURES)
        opened = rig.clock.time
        await calls("while it is open", 0, n=5)
        rig.clock.time = opened + _PAUSE - 0.1
        await calls("just before 60 s", 0)
        rig.clock.time = opened + _PAUSE
        await calls("the trial, which fails", 1, n=5)
        await calls("after a failed trial", 0)
        rig.clock.time += _PAUSE
        rig.members.always.clear()
        await calls("the trial, which succeeds", 1)
        await calls("closed again", 4, n=4)
        turns = [state for member, state in rig.heard.turns if member == "primary"]
        wanted = ["open", "half-open", "open", "half-open", "closed"]
        expect(f"turns of the breaker: {turns}, not {wanted}", turns == wanted)


async def all_down(rig: Rig, expect: Expect) -> None:
    """Every wish has an answer, which says that nobody read it; when they are back, nothing of it stays."""
    rig.members.down("primary", "validator", "creative")
    async with rig.ensemble() as ensemble:
        wishes = [f"{words}{mode}" for words, mode in product(_WORDS.values(), MODES)]
        for round_ in range(3):
            answers = await asyncio.gather(*(ensemble.answer(wish, mode) for wish in wishes for mode in MODES))
            marked = [answer.outcome is Outcome.DEFAULT and bool(answer.remarks) for answer in answers]
            expect(f"round {round_}: {marked.count(False)} answers are not marked as nobody's", all(marked))
            languages = [answer.brief.language for answer in answers]
            expect("the language of the wish is lost", languages == ["en"] * 9 + ["ko"] * 9)
        rig.members.always.clear()
        rig.clock.time += _PAUSE
        for wish in wishes[:1]:
            answer = await ensemble.answer(wish, "fast")
            expect(f"back again: {answer.outcome}", answer.outcome is Outcome.RAW)
