"""Traffic by HAProxy's runtime API: one socket on this host, and weights that change without a reload.

Its words are those of HAProxy's management guide, section 9; measured with 2.6.
"""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_artisan.release.traffic.patience import NotYet, patiently
from pytest_artisan.release.traffic.router import SLOTS, Slot
from pytest_artisan.release.traffic.settings import Traffic
from pytest_artisan.release.traffic.shares import shares_of, weights_of
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import NoEvidence

MOST_WEIGHT = 256
# For one answer. It comes within milliseconds; a backend of a thousand servers fills half a megabyte.
_ANSWER_S, _ANSWER_BYTES = 5.0, 1 << 20
# For HAProxy's own checks to find a server that has just begun to answer, and for a slow start to end.
_PATIENCE_S = 10.0
# A backend's and its servers' rows of `show stat`, the column `type` says which.
_BACKEND, _SERVER = "1", "2"
_QUOTED = 120


@dataclass(frozen=True, slots=True)
class _Server:
    """A row of `show stat`: `weight` is what it was told, `effective` what it has come to."""

    name: str
    weight: int
    effective: int
    status: str
    backup: bool
    in_flight: int

    @property
    def fault(self) -> str:
        """Why requests do not go there, whatever its weight."""
        if self.backup:
            return f"server {self.name} is a backup"
        # "UP 1/3" has failed a check, and is up until the third.
        return "" if self.status.startswith(("UP", "no check")) else f"server {self.name} is {self.status}"


@dataclass(frozen=True, slots=True)
class HAProxy:
    """The router of a backend of HAProxy, which has a server for each slot; `socket` needs the level admin.

    `shift` waits up to `patience_s` for HAProxy to see that a server which is to get requests is up. It refuses, and
    changes nothing, where it is not. Raises SettingsError for a share that HAProxy has no weights for.
    """

    socket: str
    backend: str
    names: Mapping[Slot, str]
    patience_s: float = _PATIENCE_S

    @classmethod
    def of(cls, traffic: Traffic) -> HAProxy:
        """The one of these settings."""
        assert traffic.socket is not None
        assert traffic.backend is not None
        return cls(traffic.socket, traffic.backend, traffic.names)

    def weights(self) -> dict[Slot, float]:
        return shares_of(self._settled())

    def shift(self, slot: Slot, percent: float) -> None:
        wanted = weights_of(slot, percent, MOST_WEIGHT)
        now = patiently(lambda: self._able(wanted), self.patience_s)
        if now != wanted:
            lines = (f"set server {self.backend}/{self.names[s]} weight {wanted[s]}" for s in order(now, wanted))
            answer = self._ask("; ".join(lines))
            if answer.strip():
                raise self._fault(f"refuses a weight: {_quoted(answer)}")
        found = patiently(self._settled, self.patience_s)
        if found != wanted:
            raise self._fault(f"has the weights {found}, and was told {wanted}")

    def in_flight(self, slot: Slot) -> int:
        return self._servers()[slot].in_flight

    def _able(self, wanted: Mapping[Slot, int]) -> dict[Slot, int]:
        """The weights now, once every server that is to get requests can; else NotYet."""
        servers = self._servers()
        for slot, server in servers.items():
            if wanted[slot] and server.fault:
                raise self._fault(f"{server.fault}, so it gets no requests", NotYet)
        return {slot: server.weight for slot, server in servers.items()}

    def _settled(self) -> dict[Slot, int]:
        """The weights now, once they are the shares of the requests; else NotYet."""
        servers = self._servers()
        for server in servers.values():
            if server.weight and server.fault:
                raise self._fault(f"{server.fault}, and has the weight {server.weight}", NotYet)
            # One that is away keeps what it had come to.
            if not server.fault and server.weight != server.effective:
                told = f"server {server.name} works with {server.effective} of its weight {server.weight}"
                raise self._fault(told, NotYet)
        weights = {slot: server.weight for slot, server in servers.items()}
        if not any(weights.values()):
            raise self._fault("blue and green both have the weight 0")
        return weights

    def _servers(self) -> dict[Slot, _Server]:
        answer = self._ask(f"show stat {self.backend} 6 -1")
        try:
            rows = list(csv.DictReader(answer.removeprefix("# ").splitlines()))
            [whole] = [row for row in rows if row["type"] == _BACKEND]
            servers = {row["svname"]: _server(row) for row in rows if row["type"] == _SERVER}
            mode, algorithm = whole["mode"], whole["algo"]
        except (csv.Error, KeyError, ValueError, TypeError):
            raise self._fault(f"answers {_quoted(answer)}") from None
        if not algorithm:
            raise self._fault("shows too little to this socket, which needs the level admin")
        if (mode, algorithm) != ("http", "roundrobin"):
            raise self._fault(
                f"balances {algorithm} in mode {mode}; weights are shares for roundrobin in mode http alone"
            )
        for slot, name in self.names.items():
            if name not in servers:
                raise self._fault(f"has no server {name} for {slot}; it has {', '.join(servers)}")
        for other in servers.keys() - self.names.values():
            if servers[other].weight and not servers[other].fault:
                raise self._fault(f"gives requests to {other} too, which is neither blue nor green")
        return {slot: servers[self.names[slot]] for slot in SLOTS}

    def _ask(self, commands: str) -> str:
        """The whole answer of one connection."""
        try:
            answer = _answer(self.socket, commands)
        except OSError as error:
            raise self._fault(f"can not be asked: {error.strerror or error}") from None
        # The last answer ends in an empty line, even where it says nothing; one that was cut off does not.
        if not answer.endswith("\n\n"):
            raise self._fault(f"broke off its answer after {_quoted(answer)}")
        return answer

    def _fault(self, what: str, kind: type[NoEvidence] = NoEvidence) -> NoEvidence:
        return kind(one_line(f"HAProxy at {self.socket}, backend {self.backend}: {what}"))


def order(now: Mapping[Slot, int], wanted: Mapping[Slot, int]) -> tuple[Slot, ...]:
    """Which weight to set first, as there are requests between the two commands.

    In between not both are 0, which would be an answer 503, and the slot whose share rises has no more than it will get.
    """
    rising: Slot = "blue" if now["blue"] * wanted["green"] < wanted["blue"] * now["green"] else "green"
    falling: Slot = "green" if rising == "blue" else "blue"
    return (falling, rising) if wanted[falling] > now[falling] else (rising, falling)


def _server(row: Mapping[str, str]) -> _Server:
    # Those that wait in the server's own queue will be answered by it too.
    in_flight = int(row["scur"]) + int(row["qcur"])
    weights = int(row["uweight"]), int(row["weight"])
    return _Server(row["svname"], *weights, row["status"], row["bck"] != "0", in_flight)


def _answer(path: str, commands: str) -> str:
    deadline, answer = time.monotonic() + _ANSWER_S, b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_S)
        connection.connect(path)
        connection.sendall(commands.encode() + b"\n")
        while part := connection.recv(1 << 16):
            answer += part
            if len(answer) > _ANSWER_BYTES:
                raise OSError(f"its answer is longer than {_ANSWER_BYTES} bytes")
            connection.settimeout(max(0.001, deadline - time.monotonic()))
    return answer.decode(errors="replace")


def _quoted(answer: str) -> str:
    return repr(" ".join(answer.split())[:_QUOTED])
