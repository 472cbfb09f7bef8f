"""Who holds a virtual address, seen from the outside: the kernels' own notifications, not what a router says of itself.

Called by `soak` and by tests. `ip monitor` in each router tells of every change within a millisecond or so. A router
whose namespace goes, or all of whose processes are killed, counts as one that holds nothing; when its namespace is
there again it is watched again. Times are those of CLOCK_MONOTONIC in seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from types import TracebackType

from vpcrouter.appliers import _process
from vpcrouter.errors import VpcRouterError
from vpcrouter.lab.companion import Speaker
from vpcrouter.lab.laboratory import Laboratory

GATEWAY = "10.1.4.1"
"""Of a tier that nothing happens to in what the laboratory does by itself."""
_AGAIN_S = 0.05
_ENOUGH_S = 5.0
_STARTED_S = 0.2
"""By then `ip monitor` listens; what changed before is in the list that is asked for then."""

Span = tuple[float, float]
"""From when to when."""


class Holders:
    """Watches the routers inside the `with` block."""

    def __init__(self, laboratory: Laboratory, address: str = GATEWAY) -> None:
        self._laboratory, self._address = laboratory, address
        self._spans: dict[str, list[Span]] = {router: [] for router in laboratory.names.routers}
        self._since: dict[str, float | None] = dict.fromkeys(laboratory.names.routers)
        self._speakers: dict[str, Speaker] = {}
        self._heard: set[str] = set()
        """Routers that have changed the address since they are watched, so that an older list says nothing."""
        self._looked = {router: threading.Event() for router in laboratory.names.routers}
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(router,), daemon=True) for router in self._spans]
        self.began = 0.0

    def __enter__(self) -> Holders:
        for thread in self._threads:
            thread.start()
        for looked in self._looked.values():
            looked.wait(_ENOUGH_S)
        self.began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        for speaker in tuple(self._speakers.values()):
            speaker.end()
        for thread in self._threads:
            thread.join()

    def spans(self, router: str) -> tuple[Span, ...]:
        """When it held the address, until now."""
        with self._lock:
            since = self._since[router]
            return (*self._spans[router], *([(since, time.monotonic())] if since is not None else []))

    def both(self) -> tuple[Span, ...]:
        """When two did, since the watch began."""
        spans = [self.spans(router) for router in self._spans]
        found = sorted(each for one, other in combinations(spans, 2) for each in overlaps(one, other))
        return tuple((max(start, self.began), end) for start, end in found if end > self.began)

    def neither(self) -> tuple[Span, ...]:
        """When nobody did, since the watch began."""
        until = time.monotonic()  # before the spans are asked for, which last until then at least
        held = sorted(span for router in self._spans for span in self.spans(router))
        return tuple(gaps(held, (self.began, until)))

    def _watch(self, router: str) -> None:
        while not self._ends.is_set():
            try:
                with Speaker(self._laboratory, router, ["ip", "-4", "-o", "monitor", "address"]) as speaker:
                    self._speakers[router] = speaker
                    if self._ends.is_set():
                        return  # whoever ends the speakers may not have seen this one
                    self._heard.discard(router)
                    threading.Timer(_STARTED_S, self._look, (router, speaker)).start()
                    for line in speaker.lines():
                        if f" {self._address}/" in line:
                            self._heard.add(router)
                            self._note(router, not line.startswith("Deleted "))
            except VpcRouterError:
                self._looked[router].set()  # it is gone for a while
            self._note(router, False)
            self._ends.wait(_AGAIN_S)

    def _look(self, router: str, speaker: Speaker) -> None:
        """What it holds before anything changes."""
        if self._ends.is_set() or self._speakers.get(router) is not speaker:
            return
        try:
            listed = _process.run(["ip", "-n", self._laboratory.names.namespace(router), "-4", "-o", "address"])
        except VpcRouterError:
            listed = b""
        if router not in self._heard:
            self._note(router, f" {self._address}/" in listed.decode())
        self._looked[router].set()

    def _note(self, router: str, holds: bool) -> None:
        with self._lock:
            since, now = self._since[router], time.monotonic()
            if holds and since is None:
                self._since[router] = now
            elif not holds and since is not None:
                self._spans[router].append((since, now))
                self._since[router] = None


def overlaps(one: Sequence[Span], other: Sequence[Span]) -> Iterator[Span]:
    """The times that are in both, in order; each sequence is in order."""
    for start, end in one:
        for begins, ends in other:
            if max(start, begins) < min(end, ends):
                yield max(start, begins), min(end, ends)


def gaps(spans: Sequence[Span], within: Span) -> Iterator[Span]:
    """The times of `within` that are in none of the spans, which are in the order of their beginnings."""
    at = within[0]
    for start, end in spans:
        if start > at:
            yield at, min(start, within[1])
        at = max(at, end)
    if at < within[1]:
        yield at, within[1]
