"""The service as a command whose ensemble is a stub: the wish is the brief's only odour family, or no brief at all."""

from __future__ import annotations

import sys

from pytest_artisan.cli import main
from pytest_artisan.ensemble.answers import (
    WHOLE,
    Answer,
    Conduct,
    Conducted,
    Mode,
    Observer,
    Outcome,
    Source,
    WishError,
)
from pytest_artisan.ensemble.briefs import DEFAULT_BRIEF, FAMILIES
from pytest_artisan.release.environments import Environment
from pytest_artisan.service import running


def as_by_default(flag: str, user: str | None) -> bool:
    """What the flags of the release strategy say where nobody has changed one."""
    return flag not in ("new_moga_optimizer", "advanced_rlhf")


class Stub:
    """An `Answering` that knows the odour families by name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.conducts: list[Conduct] = []
        self.outcome, self.brief, self.closed = Outcome.RAW, DEFAULT_BRIEF, False

    async def answer(self, wish: str, mode: Mode | None = None, conduct: Conduct = WHOLE) -> Answer:
        self.asked.append(wish)
        self.conducts.append(conduct)
        if not wish.strip():
            raise WishError("wish: is empty")
        if wish == "broken":
            raise RuntimeError("a secret of the house")
        brief = self.brief
        for family in FAMILIES:
            if family == wish:
                brief = brief.model_copy(update={"notes_preference": {family: 1.0}})
        return Answer(brief, mode or "balanced", Source.PRIMARY, self.outcome, f"{mode} {wish}")

    async def aclose(self) -> None:
        self.closed = True


def stubbed(environment: Environment, models: str | None, observer: Observer) -> tuple[Conducted, dict[str, str]]:
    return Stub(), {"primary": "stub"}


if __name__ == "__main__":
    running.answering_of = stubbed
    running._WORKER = (sys.executable, __file__, "worker")
    running._MODELS = (sys.executable, __file__, "models")
    match sys.argv[1]:
        case "worker":
            from pytest_artisan.service.worker import main as worker

            worker()
        case "models":
            print("models at http://127.0.0.1:1/v1: none, this is a stub", flush=True)
            sys.stdin.read()
        case _:
            sys.exit(main())
