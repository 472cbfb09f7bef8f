"""A router's status as Prometheus metrics. The names are a promise: docs/operations.md lists them.

Called by the command line (`vpcrouter metrics`) and by an agent that is to write them into a file; whoever does neither
does not import prometheus-client. It knows what a status says, and asks nobody. What is unknown (no peer was heard) has
no sample rather than a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from vpcrouter.values.role import Role

_GAUGES = {
    "seq": "Sequence number of the newest event.",
    "settled_seq": "Sequence number up to which the machine was equal to the state.",
    "connections": "Connections in the kernel's table that are shared with the peer.",
    "connections_missing": "Connections of the peer's last sample that are not here.",
    "role_since": "When the role last changed, in seconds since 1970.",
}
_OF_PEER = {
    "peer_age_seconds": "Since the peer was heard.",
    "peer_silent": "Whether the peer is not heard any more.",
    "peer_seq": "The peer's sequence number; it has its own.",
    "peer_ready": "Whether the peer could take over now.",
    "digest_equal": "Whether the peer and this router are configured alike.",
}
_COUNTERS = {
    "commands": "Commands that were handed in.",
    "settles": "Passes over the machine that changed something.",
    "drift": "Things that somebody else had changed and that were put back.",
    "role_changes": "Changes of the role.",
    "handovers": "Handovers that were begun here.",
    "double_masters": "Times that both routers served.",
}
_DAEMON_EVENTS = ("starts", "reloads", "restarts", "stops", "deaths")


class _Status(Collector):
    def __init__(self, status: Mapping[str, Any], usage: Sequence[Mapping[str, Any]]) -> None:
        self._status = status
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        status = self._status
        role = GaugeMetricFamily("vpcrouter_role", "1 for the role that the router has.", labels=["role"])
        for each in Role:
            role.add_metric([each.value], float(status["role"] == each.value))
        yield role
        yield _named("role_reason", "1 for why the router has its role.", reason=status["role_reason"])
        yield _named("digest", "1 for the digest of the configuration.", digest=status["digest"])
        for name, text in _GAUGES.items():
            if status.get(name) is not None:
                suffix = "_timestamp_seconds" if name == "role_since" else ""
                yield GaugeMetricFamily(f"vpcrouter_{name}{suffix}", text, value=float(status[name]))
        yield _truth("settled", "Whether the machine equals the state.", status["settled"])
        if status.get("ready") is not None:
            yield _truth("ready", "Of a backup: whether it could take over now.", status["ready"])
        yield GaugeMetricFamily("vpcrouter_faults", "What keeps the machine from being settled.", len(status["faults"]))
        yield GaugeMetricFamily("vpcrouter_pending", "Commands that wait for something.", len(status["pending"]))
        conflicts = len(status.get("conflicts", ()))
        yield GaugeMetricFamily("vpcrouter_address_conflicts", "Others that have an address of this router.", conflicts)
        yield from self._peer()
        yield from self._health()
        yield from self._counters()
        yield from self._traffic()
        yield self._settle_seconds()

    def _peer(self) -> Iterator[Metric]:
        """Of each peer, by its own address on its first device."""
        peers = self._status.get("peers") or ()
        if not peers:
            return
        role = GaugeMetricFamily("vpcrouter_peer_role", "1 for the role that it told last.", labels=["peer", "role"])
        digest = GaugeMetricFamily("vpcrouter_peer_digest", "1 for the digest it told.", labels=["peer", "digest"])
        for each in peers:
            for known in Role:
                role.add_metric([each["address"], known.value], float(each["role"] == known.value))
            digest.add_metric([each["address"], each["digest"]], 1.0)
        yield role
        yield digest
        for name, text in _OF_PEER.items():
            family = GaugeMetricFamily(f"vpcrouter_{name}", text, labels=["peer"])
            for each in peers:
                family.add_metric([each["address"]], self._of_peer(name, each))
            yield family
        differs = self._status.get("differs")
        yield GaugeMetricFamily(
            "vpcrouter_digest_differs_seconds", "For how long they have not been.", differs["seconds"] if differs else 0
        )
        things = GaugeMetricFamily(
            "vpcrouter_digest_differs_things", "In how many things they differ.", labels=["side"]
        )
        for side in ("here", "there"):
            things.add_metric([side], differs["counts"][side] if differs else 0)
        yield things

    def _of_peer(self, name: str, peer: Mapping[str, Any]) -> float:
        match name:
            case "peer_age_seconds":
                return float(peer["heard_ms_ago"]) / 1000
            case "digest_equal":
                return float(peer["digest"] == self._status["digest"])
            case _:
                return float(peer[name.removeprefix("peer_")])

    def _health(self) -> Iterator[Metric]:
        check = GaugeMetricFamily(
            "vpcrouter_health_check", "1 if the check succeeds, 0 if it fails.", labels=["check", "kind"]
        )
        made = GaugeMetricFamily(
            "vpcrouter_health_checked_timestamp_seconds", "When checks of the kind were made.", labels=["kind"]
        )
        times: dict[str, float] = {}
        for each in self._status["health"]:
            times[each["kind"]] = each["time"]
            if each["success"] in ("SUCCESS", "FAILED"):
                check.add_metric([each["name"], each["kind"]], float(each["success"] == "SUCCESS"))
        for kind, time in times.items():
            made.add_metric([kind], time)
        yield check
        yield made

    def _counters(self) -> Iterator[Metric]:
        counters = self._status["counters"]
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"vpcrouter_{name}", text, value=float(counters.get(name, 0)))
        yield CounterMetricFamily(
            "vpcrouter_double_master_seconds", "How long both served.", counters.get("double_master_ms", 0) / 1000
        )
        for event in _DAEMON_EVENTS:
            family = CounterMetricFamily(
                f"vpcrouter_daemon_{event}", f"Of each daemon, its {event}.", labels=["daemon"]
            )
            for key, count in counters.items():
                daemon, separator, what = key.rpartition("_")
                if separator and what == event:
                    family.add_metric([daemon], count)
            yield family

    def _traffic(self) -> Iterator[Metric]:
        for unit in ("bytes", "packets"):
            family = CounterMetricFamily(
                f"vpcrouter_{unit}", f"{unit.capitalize()} by device.", labels=["device", "kind", "way", "whose"]
            )
            for device in self._usage:
                for whose, counted in (("forwarded", device), ("own", device["own"])):
                    for way in ("in", "out"):
                        family.add_metric([device["device"], device["kind"], way, whose], counted[way][unit])
            yield family

    def _settle_seconds(self) -> Metric:
        found = self._status["settle_seconds"]
        family = HistogramMetricFamily("vpcrouter_settle_seconds", "How long passes over the machine took.")
        family.add_metric([], [(bound, float(count)) for bound, count in found["buckets"]], found["sum"])
        return family


def _truth(name: str, text: str, value: object) -> Metric:
    return GaugeMetricFamily(f"vpcrouter_{name}", text, value=float(bool(value)))


def _named(name: str, text: str, **label: str) -> Metric:
    """A text: 1 with the text as its label."""
    family = GaugeMetricFamily(f"vpcrouter_{name}", text, labels=list(label))
    family.add_metric(list(label.values()), 1.0)
    return family


def exposition(status: Mapping[str, Any], usage: Sequence[Mapping[str, Any]]) -> bytes:
    """The metrics in Prometheus' text format. `usage` is what the agent lists by device."""
    registry = CollectorRegistry()
    registry.register(_Status(status, usage))
    return generate_latest(registry)
