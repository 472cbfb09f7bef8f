"""Tunnels: which stand, which should, and who is connected. charon is asked and told by its own protocol (VICI).

Called by `host` now and then while charon is to run: charon itself begins a tunnel when it takes its connection, when
the peer dies and when the peer ends it, but gives up for good when the peer refuses it (its key was wrong, or it did
not know us yet). Then it is told to begin again. Who is connected and should not be (a user that was removed, a site
that was removed and has begun its tunnel itself) is ended.

Nothing here waits for a peer: to begin is asked, not awaited.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import frozen

from vpcrouter.errors import ApplierError
from vpcrouter.values.desired import SiteTunnel, Tunnels

_ANSWER_S = 2.0
_STANDING = frozenset({"INSTALLED", "REKEYING", "REKEYED"})


@frozen(kw_only=True)
class SiteReport:
    """The tunnels to another site."""

    peer: str
    is_connected: bool
    """Keys are exchanged and every tunnel stands."""
    standing: tuple[str, ...]
    missing: tuple[str, ...]


@frozen(kw_only=True)
class _Association:
    number: int
    name: str
    is_established: bool
    user: str | None
    children: tuple[str, ...]
    """That stand, or that the exchange is about."""
    is_busy: bool
    """An exchange goes on that may still make a tunnel."""


class TunnelApplier:
    """Asks and tells the charon behind this socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def reports(self, desired: Tunnels) -> tuple[SiteReport, ...]:
        """How each site's tunnels are; none stands if charon does not run."""
        if not desired.sites:
            return ()
        try:
            found = self._ask(lambda session: [*_associations(session)])
        except ApplierError:
            found = []
        return tuple(_report(each, found) for each in desired.sites)

    def tend(self, desired: Tunnels) -> tuple[SiteReport, ...]:
        """Begin what is missing, end who should not be there; the reports are of before. Raises ApplierError."""

        def work(session: Any) -> tuple[SiteReport, ...]:
            found = [*_associations(session)]
            for number in _unwanted(desired, found):
                _drain(session.terminate({"ike-id": str(number), "force": "yes", "timeout": "-1"}))
            reports = tuple(_report(each, found) for each in desired.sites)
            busy = {each.name for each in found if each.is_busy}
            for site, report in zip(desired.sites, reports, strict=True):
                if site.initiates and site.name not in busy:
                    for child in report.missing:
                        _drain(session.initiate({"ike": site.name, "child": child, "timeout": "-1"}))
            return reports

        reports: tuple[SiteReport, ...] = self._ask(work)
        return reports

    def _ask(self, question: Any) -> Any:
        import vici  # only where there are tunnels

        try:
            with closing(socket.socket(socket.AF_UNIX)) as connection:
                connection.settimeout(_ANSWER_S)
                connection.connect(str(self._path))
                return question(vici.Session(connection))
        except (
            OSError,
            struct.error,
            vici.exception.CommandException,
            vici.exception.DeserializationException,
            vici.exception.EventUnknownException,
            vici.exception.SessionException,
        ) as error:
            raise ApplierError(f"charon does not answer: {error}", where="tunnels") from None


def _drain(events: Any) -> None:
    for _ in events:
        pass


def _report(site: SiteTunnel, found: list[_Association]) -> SiteReport:
    mine = [each for each in found if each.name == site.name and each.is_established]
    standing = {child for each in mine for child in each.children}
    return SiteReport(
        peer=site.peer,
        is_connected=bool(mine) and standing.issuperset(site.children),
        standing=tuple(child for child in site.children if child in standing),
        missing=tuple(child for child in site.children if child not in standing),
    )


def _unwanted(desired: Tunnels, found: list[_Association]) -> Iterator[int]:
    known = {each.name for each in desired.sites}
    for each in found:
        if each.name in known:
            continue
        if desired.access is None or (each.user is not None and each.user not in desired.users):
            yield each.number


def _associations(session: Any) -> Iterator[_Association]:
    for entry in session.list_sas():
        for name, sa in entry.items():
            children = [_child(each) for each in sa.get("child-sas", {}).values()]
            state = _text(sa, "state")
            yield _Association(
                number=int(_text(sa, "uniqueid")),
                name=name,
                is_established=state == "ESTABLISHED",
                user=_text(sa, "remote-eap-id") or None,
                children=tuple(child for child, standing in children if standing in _STANDING),
                is_busy=state == "CONNECTING" or "tasks-active" in sa or "tasks-queued" in sa,
            )


def _child(sa: Mapping[str, Any]) -> tuple[str, str]:
    return _text(sa, "name"), _text(sa, "state")


def _text(sa: Mapping[str, Any], key: str) -> str:
    value = sa.get(key, b"")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
