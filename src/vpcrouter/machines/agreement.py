"""Which things the two routers of a pair do not both have, when their digests say that something differs. Pure.

Called by the agent. Each router tells the hashes of its things, a window at a time, in order of the hashes and round
and round; the other one sees at once which of its own are not among them. So after one round each can name what it
alone has, however many there are, and nothing is asked or answered.

    digests differ ── for longer than a burst takes ──▶ windows in the beacons ──▶ only here: …; only there: 3
    digests equal  ───────────────────────────────────▶ nothing is said, nothing is kept
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping

from vpcrouter.values.agreement import WINDOW_SIZE, Thing, Window

_END = 2**32


class AgreementMachine:
    """The comparison, as one router makes it."""

    def __init__(self, *, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self._since_ns: int | None = None
        self._low = 0
        self._only_here: set[int] = set()
        self._only_there: set[int] = set()

    def observe(self, digest: str, peer_digest: str | None, now_ns: int) -> None:
        """Take in both digests; a peer that is not heard has none, and what was known of it stays."""
        if peer_digest is None:
            return
        if digest == peer_digest:
            self._since_ns, self._low = None, 0
            self._only_here.clear()
            self._only_there.clear()
        elif self._since_ns is None:
            self._since_ns = now_ns

    def differs_ns(self, now_ns: int) -> int | None:
        """How long the digests have differed; None if they do not."""
        return None if self._since_ns is None else now_ns - self._since_ns

    def is_worth_telling(self, now_ns: int) -> bool:
        """Whether they differ for longer than it takes to hand the same commands to both."""
        differs_ns = self.differs_ns(now_ns)
        return differs_ns is not None and differs_ns >= self._patience_ns

    def window(self, own: Iterable[int]) -> Window:
        """The next part of the own things, to be told; `own`: their hashes."""
        hashes = sorted(own)
        start = bisect_left(hashes, self._low)
        chosen = tuple(hashes[start : start + WINDOW_SIZE])
        is_last = start + WINDOW_SIZE >= len(hashes)
        window = Window(low=self._low, high=_END if is_last else hashes[start + WINDOW_SIZE], hashes=chosen)
        self._low = 0 if is_last else window.high
        return window

    def hear(self, window: Window, own: Iterable[int]) -> None:
        """Compare with what the peer has in this part."""
        theirs = frozenset(window.hashes)
        here = {each for each in own if window.low <= each < window.high}
        for known, now in ((self._only_here, here - theirs), (self._only_there, theirs - here)):
            known -= {each for each in known if window.low <= each < window.high}
            known |= now

    def only_here(self, own: Mapping[int, Thing]) -> list[Thing]:
        """The things that this router alone has, or has otherwise than the peer."""
        return sorted(own[each] for each in self._only_here if each in own)

    @property
    def only_there(self) -> Collection[int]:
        """The hashes of what the peer alone has, or has otherwise; it can name them."""
        return self._only_there
