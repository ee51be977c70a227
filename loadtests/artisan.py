"""People who make perfumes: what is asked of the Artisan service under load.

An ordinary locustfile: `locust -f loadtests/artisan.py --host http://127.0.0.1:8000` runs it as well. What one answer
holds, a later request takes up: a wish becomes DNA, DNA becomes options, and somebody rates one of them.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any, TypeVar

from locust import FastHttpUser, constant, task
from pydantic import BaseModel, ValidationError

from pytest_artisan.service.contract import Dna, Health, Learnt, Options

_Answer = TypeVar("_Answer", bound=BaseModel)
_WISHES = (
    "fresh citrus and warm wood, without oakmoss",
    "a soft floral for spring",
    "시트러스와 나무 향",
    "smoky leather with vanilla",
    "green tea on a rainy morning",
)


# Of all users together: what one has made, another may take up.
_wishes = itertools.cycle(_WISHES)
_dna = deque[str](maxlen=100)
_offered = deque[Options](maxlen=100)


class Perfumer(FastHttpUser):
    """Looks in often, and makes something now and then."""

    wait_time = constant(1)

    @task(4)
    def health(self) -> None:
        self._ask("GET", "/health", Health)

    @task(3)
    def create(self) -> None:
        made = self._ask("POST", "/dna/create", Dna, {"wish": next(_wishes)})
        if made is not None:
            _dna.append(made.id)

    @task(2)
    def options(self) -> None:
        if not _dna:
            return self.create()
        _dna.rotate()
        offered = self._ask("POST", "/evolve/options", Options, {"dna": _dna[0], "algorithm": "REINFORCE"})
        if offered is not None:
            _offered.append(offered)
        return None

    @task(1)
    def feedback(self) -> None:
        """An experiment is rated once."""
        if not _offered:
            return self.options()
        offered = _offered.popleft()
        rated = {"experiment": offered.experiment, "chosen": offered.options[0].id, "rating": 4}
        self._ask("POST", "/evolve/feedback", Learnt, {**rated, "algorithm": "REINFORCE"})
        return None

    def _ask(self, method: str, path: str, answer: type[_Answer], body: dict[str, Any] | None = None) -> _Answer | None:
        """The answer, where it is one by the contract; else the request has failed."""
        with self.client.request(method, path, json=body, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return None
            try:
                return answer.model_validate_json(response.content)
            except ValidationError as error:
                [first, *_] = error.errors(include_url=False, include_input=False)
                response.failure(f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}")
                return None
