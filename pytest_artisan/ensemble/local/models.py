"""The three reference models together, trained once a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, Protocol, get_args

from pytest_artisan.ensemble.answers import Mode, Role
from pytest_artisan.ensemble.local.examples import make_examples
from pytest_artisan.ensemble.local.lexicon import load_lexicon
from pytest_artisan.ensemble.local.readings import Reading
from pytest_artisan.ensemble.local.regression import KernelRidge, Retriever
from pytest_artisan.ensemble.local.sampler import Sampler
from pytest_artisan.ensemble.settings import Endpoint, EnsembleSettings

Task = Literal["brief", "check", "hints"]
TASKS: tuple[Task, ...] = get_args(Task)
MODELS: Final[Mapping[Role, str]] = {
    "primary": "local-ridge",
    "validator": "local-retriever",
    "creative": "local-ngram",
}
EMBEDDING: Final = "local-embedding"
_EXAMPLES = 1500
_TTL_S = 300.0
_TIMEOUTS_S: Mapping[Mode, float] = {"fast": 8.0, "balanced": 12.0, "creative": 20.0}


class Model(Protocol):
    """Reads a wish; the same `seed`, the same reading."""

    def read(self, wish: str, seed: int = 0, temperature: float = 0.0) -> Reading: ...

    def hints(self, wish: str, seed: int = 0, temperature: float = 0.0) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class LocalModels:
    """The models by their ids."""

    members: Mapping[str, Model]

    @staticmethod
    def load(seed: int = 0) -> LocalModels:
        """Those that learned from the examples of this seed; trained once a process."""
        return _load(seed)

    def answer(
        self, model: str, task: Task, wish: str, brief: object = None, *, seed: int = 0, temperature: float = 0.0
    ) -> dict[str, Any]:
        """What the model says, as the JSON that the task asks for: a brief, `brief` corrected, or {"hints": [...]}.

        Raises KeyError for a model that is none. Takes milliseconds; safe in threads.
        """
        member = self.members[model]
        if task == "hints":
            return {"hints": member.hints(wish, seed, temperature)}
        reading = member.read(wish, seed, temperature)
        return reading.corrected(brief, load_lexicon().concepts(wish)) if task == "check" else reading.brief()


@cache
def _load(seed: int) -> LocalModels:
    examples = make_examples(_EXAMPLES, seed)
    kinds: tuple[type[KernelRidge | Retriever | Sampler], ...] = (KernelRidge, Retriever, Sampler)
    return LocalModels({name: kind(examples) for name, kind in zip(MODELS.values(), kinds, strict=True)})


def local_settings(url: str) -> EnsembleSettings:
    """The ensemble of these models behind an API at `url`, such as http://127.0.0.1:8001/v1."""
    members = {role: Endpoint(url, model) for role, model in MODELS.items()}
    return EnsembleSettings(members, _TIMEOUTS_S, _TTL_S, embedding=Endpoint(url, EMBEDDING))
