"""Measures what a guest sees: numbered UDP probes there and back, and a TCP stream, between two nodes.

Called by the command line, `failover` and `demo`. The measuring itself is in `probe` and `transfer`, one small
process at each end; this file starts both ends and reads their reports. A probe counts as lost if no answer
came back, whichever way it was lost.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

import cattrs
from attrs import frozen

from vpcrouter.errors import CallerError
from vpcrouter.lab.companion import Companion
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import address_of, check_node, host_of, is_address

_ENOUGH_S = 20.0


@frozen(kw_only=True)
class Outage:
    """A window in which every probe was lost: from the first lost one until the next one answered was sent."""

    start_ms: float
    length_ms: float
    lost: int


@frozen(kw_only=True)
class ProbeReport:
    """What became of the probes. Times count from the first one; `started_ns` is CLOCK_MONOTONIC."""

    started_ns: int
    sent: int
    received: int
    lost: int
    loss_percent: float
    duplicates: int
    duration_ms: float
    max_gap_ms: float
    """The longest time between two probes sent: no outage shorter than this could have been missed."""
    max_round_trip_ms: float
    outages: tuple[Outage, ...]

    @property
    def longest_outage_ms(self) -> float:
        """The length of the longest window, 0 if there is none."""
        return max((outage.length_ms for outage in self.outages), default=0.0)


@frozen(kw_only=True)
class Target:
    """Where probes go and who answers them."""

    address: str
    port: int
    """0: whichever port the answerer gets."""
    answerer: str
    answerer_port: int

    @classmethod
    def parse(cls, to: str, *, port: int = 0, answerer: str = "", answerer_port: int = 0) -> Target:
        """A node's name or an address; an address that is no host's own (a NAT one) needs an answerer and a port."""
        address = to if is_address(to) else address_of(to)
        answerer = check_node(answerer) if answerer else host_of(address) or ""
        if not answerer:
            raise CallerError(
                f"no host of the laboratory has {to}",
                where="TO",
                hint="--answerer NODE names the host behind it, --port its public port",
            )
        if host_of(address) != answerer and not port:
            raise CallerError(f"{to} is translated, so the port must be known", where="--port")
        return cls(address=address, port=port, answerer=answerer, answerer_port=answerer_port or port)


class Probe:
    """Probes under way between two nodes; leaving the `with` block ends them."""

    def __init__(
        self, laboratory: Laboratory, source: str, target: Target, *, interval_ms: float = 1.0, count: int = 0
    ) -> None:
        if not 0.1 <= interval_ms <= 60_000:
            raise CallerError(f"{interval_ms:g} ms is no interval", where="--interval", hint="0.1 ms to 60 s")
        self._laboratory = laboratory
        self._source, self._target = check_node(source), target
        self._interval_us, self._count = round(interval_ms * 1000), count
        self._ends = ExitStack()

    def __enter__(self) -> Probe:
        target, module = self._target, "vpcrouter.lab.probe"
        own = host_of(target.address) == target.answerer
        bind = target.address if own else address_of(target.answerer)
        with ExitStack() as ends:
            echo = ends.enter_context(
                Companion(self._laboratory, target.answerer, module, "echo", bind, str(target.answerer_port))
            )
            ready = echo.first_line()
            port = str(target.port or ready["port"])
            words = ("send", target.address, port, str(self._interval_us), str(self._count))
            self._sender = ends.enter_context(Companion(self._laboratory, self._source, module, *words))
            self.started_ns = int(self._sender.first_line()["started_ns"])
            self._ends = ends.pop_all()
        return self

    def stop(self) -> ProbeReport:
        """End the probing and report."""
        return _structure(self._sender.finish(_ENOUGH_S))

    def wait(self) -> ProbeReport:
        """Wait until all probes are sent, and report."""
        return _structure(self._sender.report(self._count * self._interval_us / 1e6 + _ENOUGH_S))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()


@frozen(kw_only=True)
class TransferReport:
    """What became of one TCP stream. It survived if it is intact and both ends agree on its length."""

    sent_bytes: int
    received_bytes: int
    intact: bool
    longest_pause_ms: float
    error: str

    @property
    def survived(self) -> bool:
        """Whether everything that was sent has arrived, unchanged, over one connection."""
        return self.intact and not self.error and self.sent_bytes == self.received_bytes > 0


class Transfer:
    """A paced download under way from one host to another; leaving the `with` block ends it.

    `port` is the server's (0: any free one). A client that reaches it by a translated address names that, and the
    port there: `("203.0.113.11", 80)`.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        server: str,
        client: str,
        *,
        bytes_per_s: int,
        port: int = 0,
        by: tuple[str, int] | None = None,
    ) -> None:
        self._laboratory = laboratory
        self._server_node, self._client_node = check_node(server), check_node(client)
        self._bytes_per_s, self._port, self._by = bytes_per_s, port, by
        self._ends = ExitStack()

    def __enter__(self) -> Transfer:
        address, module = address_of(self._server_node), "vpcrouter.lab.transfer"
        with ExitStack() as ends:
            words = ("serve", address, str(self._port), str(self._bytes_per_s))
            self._server = ends.enter_context(Companion(self._laboratory, self._server_node, module, *words))
            port = self._server.first_line()["port"]
            public, public_port = self._by or (address, port)
            self._client = ends.enter_context(
                Companion(self._laboratory, self._client_node, module, "fetch", public, str(public_port))
            )
            self._client.first_line()
            self._ends = ends.pop_all()
        return self

    def stop(self) -> TransferReport:
        """Tell the server to end the stream, and report once the client has all of it."""
        served = self._server.finish(_ENOUGH_S)
        fetched = self._client.finish(_ENOUGH_S)
        return TransferReport(
            sent_bytes=served["bytes"],
            received_bytes=fetched["bytes"],
            intact=fetched["intact"],
            longest_pause_ms=fetched["longest_pause_ms"],
            error=served["error"] or fetched["error"],
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()


def _structure(report: dict[str, Any]) -> ProbeReport:
    return cattrs.structure(report, ProbeReport)
