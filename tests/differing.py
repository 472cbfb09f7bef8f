"""Two routers on real journals that tell each other in what they differ, without a network and an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.surroundings import Turned
from vpcrouter.disagreement import Disagreement
from vpcrouter.machines.beacon import Beacon, unpack_beacon
from vpcrouter.provenance import find
from vpcrouter.router import Router
from vpcrouter.values.agreement import Thing, Touch
from vpcrouter.values.beacon import Peer, Saying

KEY = b"k" * 32
ROUNDS = 24
"""Looks until all is known that may be: a window, what each tells of its own in parts, and the answers."""


class Clock(Turned):
    """One that both go by."""

    def monotonic_ns(self) -> int:
        return self.boot_ns()


class Speaker:
    """One router, and what it knows of the difference."""

    def __init__(self, router: Router, clock: Clock) -> None:
        self.router = router
        self.disagreement = Disagreement(0, clock)
        self.touches: Mapping[Thing, Touch] = {}

    def say(self) -> bytes:
        """The beacon that it would send now."""
        saying = Saying(digest=self.router.digest, window=self.disagreement.window, traces=self.disagreement.traces)
        nonce = bytes(8)
        return Beacon(instance=nonce, number=1, nonce=nonce, echoes=(), saying=saying, served_ms_ago=None).pack(KEY)

    def hear(self, datagrams: Sequence[bytes]) -> None:
        """Take in what the others have sent."""
        peers = []
        for number, datagram in enumerate(datagrams, start=1):
            beacon = unpack_beacon(datagram, KEY)
            assert beacon is not None
            peers.append(Peer(number=number, instance=b"", saying=beacon.saying))
        state, seq = self.router.state, self.router.seq
        self.disagreement.look(state, self.router.digest, peers, KEY)
        self.touches = find(self.router.journal.directory, self.disagreement.concerned, state, seq).touches
        self.disagreement.explain(self.touches)


def open_router(directory: Path) -> Router:
    """A router on a new journal whose clock is turned by hand."""
    return Router.open(directory, surroundings=Clock())


def talk(one: Speaker, other: Speaker, clock: Clock, rounds: int = ROUNDS) -> None:
    """Let the two speak in turn."""
    for _ in range(rounds):
        clock.pass_ms(1000)
        said = one.say(), other.say()
        one.hear([said[1]])
        other.hear([said[0]])
