"""Traffic by the weights of an HTTPRoute of Kubernetes' Gateway API, version v1, with Kubernetes' own client library."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec

from pytest_artisan.release.traffic.patience import NotYet, patiently
from pytest_artisan.release.traffic.router import SLOTS, Slot
from pytest_artisan.release.traffic.settings import Traffic
from pytest_artisan.release.traffic.shares import shares_of, weights_of
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import NoEvidence

if TYPE_CHECKING:
    from kubernetes.client import CustomObjectsApi

# As the API has it. An object has 1.5 MiB at most, as etcd keeps no larger ones.
MOST_WEIGHT = 1_000_000
_ANSWER_S, _ANSWER_BYTES = 5.0, 2 << 20
# For a controller to take a change to its gateway.
_PATIENCE_S = 30.0
_TRIES = 5
_MEANINGS = {
    0: "does not prove by TLS who it is",
    401: "refuses the credentials (401)",
    403: "forbids it (403); the role needs get and patch of httproutes",
    404: "has no such route, or no Gateway API v1 (404)",
}
_CONFLICTS = (409, 422)
# The client library calls a list of operations a merge, which would put them in the place of all rules.
_JSON_PATCH = "application/json-patch+json"


class _Ref(msgspec.Struct, frozen=True):
    name: str
    weight: Annotated[int, msgspec.Meta(ge=0)] = 1


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    backend_refs: tuple[_Ref, ...] = ()


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    status: str
    observed_generation: int = 0


class _Parent(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] = ()


class _Metadata(msgspec.Struct, frozen=True):
    generation: int


class _Spec(msgspec.Struct, frozen=True):
    rules: tuple[_Rule, ...] = ()


class _Status(msgspec.Struct, frozen=True):
    parents: tuple[_Parent, ...] = ()


class _Route(msgspec.Struct, frozen=True):
    """What matters of an HTTPRoute."""

    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def untaken(self) -> str:
        """Why no gateway does what the route says; empty where every one that has taken it does."""
        if not self.status.parents:
            return "no gateway has taken it"
        for parent in self.status.parents:
            met = {c.type for c in parent.conditions if c.status == "True" and self._is_new(c)}
            for condition in ("Accepted", "ResolvedRefs"):
                if condition not in met:
                    return f"a gateway does not say {condition} of its generation {self.metadata.generation}"
        return ""

    def _is_new(self, condition: _Condition) -> bool:
        return condition.observed_generation >= self.metadata.generation


@dataclass(frozen=True, slots=True)
class Gateway:
    """The router of an HTTPRoute, in each rule of which both slots stand, by the names of their services, or neither.

    `shift` changes all of its weights in one request, and waits up to `patience_s` until every gateway that has the route
    says that it has taken it. Raises SettingsError for a share that there are no weights for.
    """

    namespace: str
    route: str
    names: Mapping[Slot, str]
    patience_s: float = _PATIENCE_S

    @classmethod
    def of(cls, traffic: Traffic) -> Gateway:
        """The one of these settings; it is asked as KUBECONFIG says, or in a cluster as its pod may."""
        assert traffic.route is not None
        return cls(traffic.namespace, traffic.route, traffic.names)

    def weights(self) -> dict[Slot, float]:
        with self._client() as client:
            return self._taken(client)

    def shift(self, slot: Slot, percent: float) -> None:
        wanted = weights_of(slot, percent, MOST_WEIGHT)
        with self._client() as client:
            for _ in range(_TRIES):
                if self._patched(client, wanted):
                    break
            else:
                raise self._fault(f"somebody else changed it {_TRIES} times at the same moment")
            found = patiently(lambda: self._taken(client), self.patience_s)
        if found != shares_of(wanted):
            raise self._fault(f"has the shares {found}, and was told {shares_of(wanted)}")

    def in_flight(self, slot: Slot) -> int:
        raise self._fault("nobody here can tell how many requests are being answered")

    def _taken(self, client: CustomObjectsApi) -> dict[Slot, float]:
        """The shares that every gateway gives; raises NotYet where one does not say so."""
        route = self._read(client)
        if route.untaken:
            raise self._fault(route.untaken, NotYet)
        shares = []
        for index, places in self._rules(route):
            weights = {slot: route.spec.rules[index].backend_refs[place].weight for slot, place in places.items()}
            if not any(weights.values()):
                raise self._fault(f"blue and green both have the weight 0 in rule {index}")
            shares.append(shares_of(weights))
        if any(other != shares[0] for other in shares):
            raise self._fault(f"its rules give different shares: {shares}")
        return shares[0]

    def _rules(self, route: _Route) -> list[tuple[int, dict[Slot, int]]]:
        """The rules with the slots: its place in the route, and the place of each slot's service in the rule."""
        found = []
        for index, rule in enumerate(route.spec.rules):
            names = [ref.name for ref in rule.backend_refs]
            if not set(names).intersection(self.names.values()):
                continue
            if sorted(names) != sorted(self.names.values()):
                told = f"{self.names['blue']} and {self.names['green']}"
                raise self._fault(f"rule {index} sends to {', '.join(names)}, and not to {told}, each once")
            found.append((index, {slot: names.index(self.names[slot]) for slot in SLOTS}))
        if not found:
            raise self._fault(f"no rule sends to {self.names['blue']} and {self.names['green']}")
        return found

    def _patched(self, client: CustomObjectsApi, wanted: Mapping[Slot, int]) -> bool:
        """Set the weights; False where the route has changed since it was read here."""
        places = [
            (self.names[slot], wanted[slot], f"/spec/rules/{index}/backendRefs/{place}")
            for index, found in self._rules(self._read(client))
            for slot, place in found.items()
        ]
        operations: list[dict[str, object]] = [
            {"op": "test", "path": f"{path}/name", "value": name} for name, _, path in places
        ]
        # Not `replace`, which fails where there is no weight; where there is one, `add` replaces it.
        operations += [{"op": "add", "path": f"{path}/weight", "value": weight} for _, weight, path in places]
        status, _ = self._asked(client, "patch", body=operations, _content_type=_JSON_PATCH)
        if status not in _CONFLICTS:
            self._check(status)
        return status not in _CONFLICTS

    def _read(self, client: CustomObjectsApi) -> _Route:
        status, answer = self._asked(client, "get")
        self._check(status)
        try:
            return msgspec.json.decode(answer, type=_Route)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._fault(f"the answer is no HTTPRoute: {error}") from None

    def _check(self, status: int) -> None:
        if not 200 <= status < 300:
            raise self._fault(f"the server {_MEANINGS.get(status, f'answers with status {status}')}")

    def _asked(self, client: CustomObjectsApi, verb: str, **more: Any) -> tuple[int, bytes]:
        """The status and the whole body of an answer, within its time."""
        from kubernetes.client import ApiException

        ask = getattr(client, f"{verb}_namespaced_custom_object")
        place = ("gateway.networking.k8s.io", "v1", self.namespace, "httproutes", self.route)
        deadline, body = time.monotonic() + _ANSWER_S, b""
        try:
            with closing(ask(*place, _preload_content=False, _request_timeout=_ANSWER_S, **more)) as answer:
                for part in answer.stream(1 << 16):
                    body += part
                    if time.monotonic() > deadline or len(body) > _ANSWER_BYTES:
                        raise TimeoutError
                return answer.status, body
        except ApiException as error:
            return error.status or 0, b""
        except Exception as error:  # noqa: BLE001  # of several libraries, for whatever a server may answer
            # By its name alone: its text may quote what was sent.
            raise self._fault(f"the server gives no answer ({type(error).__name__})") from None

    @contextmanager
    def _client(self) -> Iterator[CustomObjectsApi]:
        try:
            from kubernetes import client, config
        except ImportError:
            raise self._fault("kubernetes is not installed; pip install 'pytest-artisan[kubernetes]'") from None
        settings, untyped = client.Configuration(), cast(Any, config)
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
                untyped.load_incluster_config(client_configuration=settings)
            else:
                # By name: the library reads the variable when it is imported.
                untyped.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=settings)
        except Exception as error:  # noqa: BLE001  # of several libraries, for whatever is in a file
            # What YAML says of a file quotes it, and a token may stand there.
            told = str(error) if isinstance(error, config.ConfigException) else type(error).__name__
            raise self._fault(f"no usable configuration of a cluster: {told}") from None
        # Neither sent twice nor to where a redirect leads.
        settings.retries = False
        with client.ApiClient(settings) as api:
            yield client.CustomObjectsApi(api)

    def _fault(self, what: str, kind: type[NoEvidence] = NoEvidence) -> NoEvidence:
        return kind(one_line(f"HTTPRoute {self.namespace}/{self.route}: {what}"))
