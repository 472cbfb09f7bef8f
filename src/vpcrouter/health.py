"""Is this router well? Facts in, results out. Pure; `checkup` gathers the facts and keeps the results.

The management server recreates a router when a check fails that it was told to watch, so a check fails only on a fact
that makes the router useless for what the check is named after. What cannot be known is UNKNOWN, which is no failure:
without an agent nobody compares anything, and traffic goes on.

A difference counts only if it is still there after a settle: one that is being mended is none (`Facts.differences`).
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vpcrouter.values.monitoring import Monitoring

BASIC = "basic"
ADVANCED = "advanced"
SUCCESS, FAILED, UNKNOWN = "SUCCESS", "FAILED", "UNKNOWN"
DAEMONS = {"dhcp": "dnsmasq", "loadbalancing": "haproxy", "webserver": "guestweb"}
"""The daemon that stands for each of the server's services; others are not ours to watch."""


@frozen(kw_only=True)
class Facts:
    """What was found. None: nobody knows."""

    role: str | None = None
    """As the agent says."""
    differences: tuple[str, ...] | None = None
    """Machine against state, in words that begin with the target."""
    down: tuple[str, ...] | None = None
    """Daemons that are wanted and do not run."""
    silent_gateways: tuple[str, ...] | None = None
    """Those of the next hops that do not answer."""
    free_disk_mb: int | None = None
    cpu_percent: int | None = None
    memory_percent: int | None = None


@frozen(kw_only=True)
class CheckResult:
    """One check."""

    kind: str
    name: str
    success: str
    message: str


def judge(facts: Facts, monitoring: Monitoring) -> tuple[CheckResult, ...]:
    """All checks that are asked for, in a fixed order; none where they are switched off."""
    if not monitoring.enabled:
        return ()
    return tuple(each for each in _results(facts, monitoring) if each.name not in monitoring.excluded)


def _results(facts: Facts, monitoring: Monitoring) -> Iterator[CheckResult]:
    yield _limit("cpu_usage_check.py", facts.cpu_percent, monitoring.most_cpu_percent, "% CPU in use")
    yield _limit("memory_usage_check.py", facts.memory_percent, monitoring.most_memory_percent, "% memory in use")
    if facts.free_disk_mb is None:
        yield _unknown(BASIC, "disk_space_check.py", "the free space is not known")
    else:
        fine = facts.free_disk_mb >= monitoring.least_disk_mb
        message = f"{facts.free_disk_mb} MB free, {monitoring.least_disk_mb} MB wanted"
        yield CheckResult(kind=BASIC, name="disk_space_check.py", success=SUCCESS if fine else FAILED, message=message)
    yield _gateways(facts)
    yield _unknown(BASIC, "router_version_check.py", "this router has no template of the server's")
    for service in monitoring.services:
        yield _service(service, facts)
    yield _in_force("dhcp_check.py", "dnsmasq", facts)
    yield _in_force("dns_check.py", "dnsmasq", facts)
    yield _in_force("haproxy_check.py", "haproxy", facts)
    yield _in_force("iptables_check.py", "nftables", facts)


def _limit(name: str, found: int | None, most: int, unit: str) -> CheckResult:
    if found is None:
        return _unknown(BASIC, name, "not known")
    # At the very limit it is not exceeded: the server's default of 100 % never fails.
    return CheckResult(
        kind=BASIC, name=name, success=FAILED if found > most else SUCCESS, message=f"{found} {unit}, at most {most}"
    )


def _gateways(facts: Facts) -> CheckResult:
    name = "gateways_check.py"
    if facts.role != "master":
        return _unknown(BASIC, name, "only the router that serves has a way there")
    if facts.silent_gateways is None:
        return _unknown(BASIC, name, "not asked")
    if facts.silent_gateways:
        return CheckResult(
            kind=BASIC, name=name, success=FAILED, message=f"no answer from {', '.join(facts.silent_gateways)}"
        )
    return CheckResult(kind=BASIC, name=name, success=SUCCESS, message="all gateways answer")


def _service(service: str, facts: Facts) -> CheckResult:
    name = f"{service}.service"
    daemon = DAEMONS.get(service)
    if daemon is None or facts.down is None:
        return _unknown(BASIC, name, "not watched by this agent" if daemon is None else "no agent answers")
    if daemon in facts.down:
        return CheckResult(kind=BASIC, name=name, success=FAILED, message=f"{daemon} does not run")
    return CheckResult(kind=BASIC, name=name, success=SUCCESS, message=f"{daemon} runs where it is wanted")


def _in_force(name: str, target: str, facts: Facts) -> CheckResult:
    if facts.differences is None:
        return _unknown(ADVANCED, name, "no agent answers")
    found = [each for each in facts.differences if each.startswith(f"{target}:")]
    if found:
        return CheckResult(kind=ADVANCED, name=name, success=FAILED, message="; ".join(found)[:500])
    return CheckResult(kind=ADVANCED, name=name, success=SUCCESS, message=f"{target} is as configured")


def _unknown(kind: str, name: str, message: str) -> CheckResult:
    return CheckResult(kind=kind, name=name, success=UNKNOWN, message=message)
