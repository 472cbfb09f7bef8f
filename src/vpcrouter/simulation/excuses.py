"""What an outage may be due to: faults, and commands that touch a tier; and for how long each of them excuses one.

Pure: told of each fault and each command with its time. What a fault may cost stands in `_cost_ms`.
"""

from __future__ import annotations

import json
from functools import lru_cache

from attrs import define, field, frozen

from vpcrouter.simulation.case import Ask, Crash, CutCable, DiskFault, Drift, Network, Pause, PowerOff, Step, Unplug
from vpcrouter.simulation.world import MS

_EFFECT_NS = 1_000 * MS
"""A command has its effect within this time, unless a fault delays it."""
_NEAR_NS = 1_000 * MS
_CALM_NS = 2_000 * MS
"""What is longer ago than this has no part in an outage."""
_AT_ONCE_NS = 30 * MS
_TOUCHED_NS = 3_000 * MS
"""What a command touches may be without service for so long."""


_HARMLESS = frozenset({
    "replace-acl", "put-reservation", "remove-reservation", "change-port-forwards", "change-static-nats",
    "change-static-routes", "change-firewall-rules", "change-ipv6-firewall-rules", "change-monitoring",
    "replace-balancer", "put-guest-pages", "remove-guest-pages", "put-guest-password", "confirm-guest-password",
    "remove-guest-password", "put-site-vpn", "remove-site-vpn", "put-remote-access", "remove-remote-access",
    "change-vpn-users", "replace-bgp-peerings",
    "networkacl", "dhcpentry", "forwardrules", "staticnatrules", "staticroutes", "firewallrules", "ipv6firewallrules",
    "monitorservice", "loadbalancer", "vmdata", "vmpassword", "site2sitevpn", "remoteaccessvpn", "vpnuserlist",
    "bgppeers",
})  # fmt: skip
"""Commands that interrupt no tier's traffic, by their names and CloudStack's types."""


OUTSIDE = "outside"


@frozen(kw_only=True)
class Disturbance:
    """A fault, from its beginning to its end."""

    step: Step = field(repr=False)
    from_ns: int
    until_ns: int


def _cost_ms(step: Step) -> int | None:
    """How long traffic may be gone after the end of a fault; None if it must not notice at all."""
    match step:
        case Crash(process=process) if process.startswith("keepalived"):
            return 1_500
        case Pause(process="keepalived" | "all"):
            return 1_500
        case PowerOff() | CutCable() | Unplug() | Network():
            return 2_500
        case Drift(what="own-address" | "virtual-address" | "link-down" | "connected-route"):
            return 2_500
        case Drift(what="table"):
            return 500
        case Ask(what="forced-handover"):
            return 2_500
        case _:
            return None


def _hinders_repair_ms(step: Step) -> int:
    """By how much a fault delays the repair of another one."""
    match step:
        case Crash(process="agent") | PowerOff() | DiskFault():
            return 2_500
        case Pause(process="agent" | "all"):
            return 500
        case _:
            return 0


@define
class Excuses:
    """All of one run."""

    interval_ns: int
    """Between two advertisements."""
    disturbances: list[Disturbance] = field(factory=list)
    _touched: list[tuple[int, str]] = field(factory=list)

    def touch(self, text: str, now_ns: int, *, has_way_out: bool = False) -> None:
        """A command was handed in or answered now; with a way out there are public addresses that matter no more."""
        found = touched_by(text)
        self._touched += [(now_ns, device) for device in found if not (device == OUTSIDE and has_way_out)]

    def excused_ns(self, device: str, since_ns: int, fit: frozenset[str] = frozenset()) -> int:
        """How long an outage that began then may be, when these machines were fit to serve."""
        if (cause := self._only_cause(since_ns)) is not None and fit - {cause.step.router}:
            return 7 * self.interval_ns // 2  # three of them and a skew (RFC 9568, 6.1), and no agent takes part
        hindered_ns = sum(
            (_hinders_repair_ms(each.step) * MS + each.until_ns - each.from_ns)
            for each in self.disturbances
            if _hinders_repair_ms(each.step)
        )
        allowed = 0
        for each in self.disturbances:
            cost_ms = _cost_ms(each.step)
            if cost_ms is None or since_ns < each.from_ns:
                continue
            end = each.until_ns + cost_ms * MS + 10 * self.interval_ns + hindered_ns
            if since_ns <= end:
                allowed = max(allowed, end - each.from_ns)
        for at_ns, touched in self._touched:
            if touched in (device, "all", OUTSIDE) and at_ns - MS <= since_ns <= at_ns + _EFFECT_NS + hindered_ns:
                allowed = max(allowed, _TOUCHED_NS)
        return allowed

    def _only_cause(self, since_ns: int) -> Disturbance | None:
        """The crash of a router with which an outage began, if nothing else went on around that."""
        near = [
            each
            for each in self.disturbances
            if not _is_of_agent(each.step)
            and each.from_ns <= since_ns + _NEAR_NS
            and since_ns <= each.until_ns + _CALM_NS
        ]
        if any(since_ns - _CALM_NS <= at_ns <= since_ns + _NEAR_NS for at_ns, _ in self._touched) or len(near) != 1:
            return None
        (cause,) = near
        return cause if _is_crash(cause.step) and 0 <= since_ns - cause.from_ns <= _AT_ONCE_NS else None


def _is_of_agent(step: Step) -> bool:
    """What concerns nobody but an agent, and so no failover."""
    match step:
        case Crash(process="agent") | Pause(process="agent"):
            return True
        case _:
            return False


def _is_crash(step: Step) -> bool:
    """Whether a router is gone with it at once, for its peer too."""
    match step:
        case PowerOff() | Crash(process="keepalived") | CutCable(device="all"):
            return True
        case _:
            return False


@lru_cache(maxsize=1024)
def touched_by(text: str) -> tuple[str, ...]:
    """The devices of the tiers whose traffic a command may interrupt; "all" if it may be any.

    OUTSIDE: any, unless there is a way out already, since public addresses are but added.
    """
    try:
        document = json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if text.lstrip()[:1] in ("<", "#"):
            return ("all",)  # an aggregated file
        return tuple(device for line in lines for device in touched_by(line)) if len(lines) > 1 else ()
    if not isinstance(document, dict):
        return ("all",)
    match document.get("command", document.get("type")):
        case "put-tier":
            return (str(document.get("tier", {}).get("device")),)
        case "remove-tier" | "guestnetwork":
            return (str(document.get("device")),)
        case "change-public-addresses" if not document.get("remove"):
            return (OUTSIDE,)
        case "ips" if all(each.get("add") is True for each in document.get("ip_address", ())):
            return (OUTSIDE,)
        case name if name in _HARMLESS:
            return ()
        case _:
            return ("all",)
