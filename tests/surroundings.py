"""A world whose clocks are turned by hand, for tests of what is done at its time."""

from __future__ import annotations

from vpcrouter.surroundings import Surroundings


class Turned(Surroundings):
    """Starts at some time of day, a minute after its first boot."""

    def __init__(self) -> None:
        self.wall_ms = 1_800_000_000_000
        self.boot_ms = 60_000
        self.boots = 1
        self.answering = True

    def time_ns(self) -> int:
        return self.wall_ms * 1_000_000

    def boot_ns(self) -> int:
        return self.boot_ms * 1_000_000

    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    def answers(self, condition: str) -> bool:
        return self.answering

    def pass_ms(self, milliseconds: int) -> None:
        """Time goes by."""
        self.wall_ms += milliseconds
        self.boot_ms += milliseconds

    def reboot(self, *, after_ms: int = 5_000) -> None:
        """The machine is off for so long."""
        self.wall_ms += after_ms
        self.boots += 1
        self.boot_ms = 2_000
