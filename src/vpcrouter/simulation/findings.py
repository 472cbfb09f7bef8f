"""What is found of a pair: rules that were broken, and outages. Values, and a list that keeps each of them once."""

from __future__ import annotations

from attrs import define, field, frozen

from vpcrouter.simulation.world import MS, World


@frozen(kw_only=True)
class Violation:
    """Something that must never be so, and was."""

    rule: str
    at_ms: float
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what} (at {self.at_ms:.1f} ms)"


@frozen(kw_only=True)
class Outage:
    """A tier's guests had no way out."""

    tier: str
    from_ms: float
    length_ms: float
    is_excused: bool


@define
class Findings:
    """The violations of one run, in their order."""

    world: World
    violations: list[Violation] = field(factory=list)

    def violate(self, rule: str, what: str) -> None:
        """A rule is broken; what goes on being so counts once."""
        if not any(
            each.rule == rule and each.what.split(" since ")[0] == what.split(" since ")[0] for each in self.violations
        ):
            self.violations.append(Violation(rule=rule, at_ms=round(self.world.now_ns / MS, 1), what=what))
