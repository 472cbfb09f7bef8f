"""Which claims of others are conflicts: those that last while the address is ours. Pure; times are passed in.

Called by the agent, now and then, with what `appliers.claims` has heard. A peer that serves no more, or not yet, may
claim the addresses for a moment: that is how a service changes hands. So a claim counts when it is heard again a second
or more after it was heard first, and is forgotten when it was not repeated for a minute (a machine that uses an address
speaks of it within that time).

A conflict is told, and no more than that: a guest can claim whatever it likes, and must not end a service by it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from attrs import evolve, frozen

from vpcrouter.values.claim import Claim

_LASTING_NS = 1_000_000_000
_FORGOTTEN_NS = 60_000_000_000
_MOST = 64
"""A guest can make up as many MACs as it likes."""


@frozen(kw_only=True)
class _Heard:
    first_ns: int
    last_ns: int

    @property
    def counts(self) -> bool:
        return self.last_ns - self.first_ns >= _LASTING_NS


class ConflictMachine:
    """What one router has heard of the addresses that it has."""

    def __init__(self) -> None:
        self._heard: dict[Claim, _Heard] = {}

    def hear(self, claims: Iterable[Claim], own: Container[str], now_ns: int) -> tuple[Claim, ...]:
        """Take in what was heard, and which addresses are ours now; returns the conflicts that are new."""
        before = self.conflicts
        self._heard = {
            each: heard
            for each, heard in self._heard.items()
            if each.address in own and now_ns - heard.last_ns < _FORGOTTEN_NS
        }
        for each in claims:
            heard = self._heard.get(each)
            if heard is not None:
                self._heard[each] = evolve(heard, last_ns=now_ns)
            elif len(self._heard) < _MOST:
                self._heard[each] = _Heard(first_ns=now_ns, last_ns=now_ns)
        return tuple(each for each in self.conflicts if each not in before)

    @property
    def conflicts(self) -> tuple[Claim, ...]:
        """Who has an address of ours too."""
        return tuple(sorted(each for each, heard in self._heard.items() if heard.counts))
