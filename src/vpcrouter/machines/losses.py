"""What this router has lost, held against flapping. Pure: what is found and the time are passed in.

    found ── lasts `after_ms` ──▶ counts ── not found for `found_after_ms` ──▶ does not count any more

Used by `fitness`, which looks and tells keepalived. Nothing here knows of the peer's losses: VRRP compares the
priorities. The one exception is a gateway that does not answer, since a backup must be silent on the public side and
only looks when it is asked to: that counts only if the peer says that the gateway answers *it*, or says nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve, frozen

from vpcrouter.values.desired import OVERLAY, Kernel, Route
from vpcrouter.values.losses import (
    FAULT_POINTS,
    FAULTS,
    GATEWAY,
    JOURNAL,
    JOURNAL_POINTS,
    LINK_POINTS,
    WAY_OUT_POINTS,
    Fault,
    Loss,
)

_NS_PER_MS = 1_000_000
FAULTS_AFTER_MS = 5_000
"""A failing applier is tried again after 0.05, 0.1, … 1.6 s: six times by then."""
_UNANSWERED = 3
_CALM_NS = 1_000_000_000
_ANXIOUS_NS = 250_000_000
"""A lost gateway is known within two seconds, and a good one costs a packet a second."""


@frozen(kw_only=True)
class _Noted:
    loss: Loss
    found_ns: int
    missed_ns: int | None = None
    """Since when it is not found any more."""
    counts: bool = False


class LossMachine:
    """The losses of one router."""

    def __init__(self, *, found_after_ms: int) -> None:
        self._found_after_ns = found_after_ms * _NS_PER_MS
        self._noted: dict[str, _Noted] = {}
        self._counting: tuple[Loss, ...] = ()

    def observe(self, found: Iterable[Loss], now_ns: int) -> None:
        """Everything that is lost just now."""
        present = {each.subject: each for each in found}
        noted = {}
        for subject in present.keys() | self._noted.keys():
            each = self._next(present.get(subject), self._noted.get(subject), now_ns)
            if each is not None:
                noted[subject] = each
        self._noted = noted
        self._counting = tuple(each.loss for _, each in sorted(noted.items()) if each.counts)

    def _next(self, loss: Loss | None, noted: _Noted | None, now_ns: int) -> _Noted | None:
        if loss is None:
            if noted is None or not noted.counts:
                return None  # it was too short to count
            missed_ns = now_ns if noted.missed_ns is None else noted.missed_ns
            return None if now_ns - missed_ns >= self._found_after_ns else evolve(noted, missed_ns=missed_ns)
        if noted is None:
            noted = _Noted(loss=loss, found_ns=now_ns)
        counts = noted.counts or now_ns - noted.found_ns >= loss.after_ms * _NS_PER_MS
        return evolve(noted, loss=loss, missed_ns=None, counts=counts)

    @property
    def counting(self) -> tuple[Loss, ...]:
        """What counts, by subject."""
        return self._counting

    @property
    def next_ns(self) -> int | None:
        """When time alone changes something; None if it does not."""
        times = [
            each.missed_ns + self._found_after_ns
            if each.missed_ns is not None
            else each.found_ns + each.loss.after_ms * _NS_PER_MS
            for each in self._noted.values()
            if each.missed_ns is not None or not each.counts
        ]
        return min(times, default=None)


class GatewayMachine:
    """Whether the gateway of the way out answers; asked now and then."""

    def __init__(self) -> None:
        self._asked_ns: int | None = None
        self._unanswered = 0
        self._reaches: bool | None = None

    @property
    def reaches(self) -> bool | None:
        """None: it was not asked, or not often enough."""
        return self._reaches

    def forget(self) -> None:
        """Nobody wants to know, or it is another gateway now."""
        self._asked_ns, self._unanswered, self._reaches = None, 0, None

    def due_ns(self, now_ns: int) -> int:
        """When to ask (again)."""
        if self._asked_ns is None:
            return now_ns
        return self._asked_ns + (_CALM_NS if self._reaches and self._unanswered <= 1 else _ANXIOUS_NS)

    def asked(self, now_ns: int) -> None:
        """It was asked."""
        if self._unanswered >= _UNANSWERED:
            self._reaches = False
        self._asked_ns, self._unanswered = now_ns, self._unanswered + 1

    def answered(self) -> None:
        """It answers."""
        self._unanswered, self._reaches = 0, True


def way_out(kernel: Kernel) -> Route | None:
    """The default route, wherever it stands."""
    routes = (*kernel.virtual_routes, *kernel.routes)
    return next((each for each in routes if each.network == "0.0.0.0/0" and each.gateway), None)


def link_losses(kernel: Kernel, carriers: Mapping[str, bool], *, after_ms: int) -> Iterator[Loss]:
    """Devices that are missing or have no carrier. One that somebody set down is drift, and put right.

    `carriers` has every device there is: whether it has a carrier, or is not up.
    """
    uplink = way_out(kernel)
    for link in kernel.links:
        if not link.up or link.name in ("eth0", OVERLAY) or carriers.get(link.name):
            continue
        what = "has no carrier" if link.name in carriers else "is not there"
        points = WAY_OUT_POINTS if uplink is not None and link.name == uplink.device else LINK_POINTS
        yield Loss(subject=link.name, points=points, reason=f"{link.name} {what}", after_ms=after_ms)


def gateway_loss(
    gateway: str, reaches: bool | None, peer_reaches: bool | None, *, peer_is_heard: bool
) -> Iterator[Loss]:
    """A gateway that answers the peer but not us. Of a peer that is silent the best is hoped."""
    if reaches is False and (peer_reaches or not peer_is_heard):
        yield Loss(subject=GATEWAY, points=WAY_OUT_POINTS, reason=f"{gateway} does not answer", after_ms=0)


def own_losses(faults: Iterable[Fault], journal_error: str | None) -> Iterator[Loss]:
    """What fails on this machine and need not on the peer."""
    said = "; ".join(each.what for each in faults if not each.is_of_kind)
    if said:
        yield Loss(subject=FAULTS, points=FAULT_POINTS, reason=said, after_ms=FAULTS_AFTER_MS)
    if journal_error is not None:
        yield Loss(subject=JOURNAL, points=JOURNAL_POINTS, reason=journal_error, after_ms=0)
