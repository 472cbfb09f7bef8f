"""`monitorservice` (monitor_service.json): which services and checks the server wants to hear of, and their limits.

What the server repeats of its own configuration for checks to compare with (guests, forwardings, load balancing, the
version of its template) has no effect: the checks compare the machine with the journal, which knows all of that.
"""

from __future__ import annotations

import re
from typing import Any

from vpcrouter.cloudstack import wire_values
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.cloudstack.wire_values import comma_list
from vpcrouter.commands import ChangeMonitoring
from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.monitoring import Monitoring, check_name

_SERVICE = re.compile(r"\[([A-Za-z0-9_.-]{1,64})\](:[a-z]+=[A-Za-z0-9_./-]{0,255})*:?", re.ASCII)
_THRESHOLDS = {
    "minDiskNeeded": ("least_disk_mb", 2**31 - 1),
    "maxCpuUsage": ("most_cpu_percent", 100),
    "maxMemoryUsage": ("most_memory_percent", 100),
}
_REPEATED = ("virtualMachines", "portForwarding", "haproxyData", "routerVersion")


def decode(top: Reader) -> ChangeMonitoring:
    """The command of the whole object."""
    services = top.optional("config", _services)
    top.unused("config", services, "services are known by their names here, whatever process or file is named")
    top.unused("disable_monitoring", top.optional("disable_monitoring", fields.text), "says the same as its absence")
    values: dict[str, Any] = {
        "enabled": top.sent("health_checks_enabled", fields.flag, True),
        "excluded": tuple(sorted(top.optional("excluded_health_checks", comma_list(check_name)) or ())),
        "services": services or (),
    }
    for key in ("basic", "advanced"):
        found = top.optional(f"health_checks_{key}_run_interval", wire_values.integer(0, 100_000))
        if found is not None:
            values[f"{key}_interval_min"] = found
    if top.has("health_checks_config"):
        values.update(_expected(top.inner("health_checks_config")))
    return ChangeMonitoring(monitoring=top.build(Monitoring, {}, **values), names_services=services is not None)


def _expected(config: Reader) -> dict[str, Any]:
    for key in _REPEATED:
        config.unused(key, config.optional(key, fields.text), "checks compare the machine with the journal")
    values: dict[str, Any] = {}
    if (gateways := config.optional("gateways", _gateways)) is not None:
        values["gateways"] = gateways
    thresholds = config.optional("systemThresholds", _thresholds) or {}
    values.update({name: int(number) for name, number in thresholds.items()})
    is_finer = any(number % 1 for number in thresholds.values())
    config.unused("systemThresholds", is_finer, "fractions are cut off: whole percents and MB are compared")
    config.done()
    return values


def _services(value: object, path: str) -> tuple[str, ...]:
    """`[dhcp]:processname=dnsmasq:servicename=dnsmasq:pidfile=/var/run/dnsmasq/dnsmasq.pid:,…` → the names."""
    found = []
    for part in filter(None, fields.text(value, path).split(",")):
        match = _SERVICE.fullmatch(part)
        if match is None:
            raise fields.malformed(path, part, "a service like [dhcp]:processname=dnsmasq:")
        found.append(match[1])
    return tuple(sorted(set(found)))


def _gateways(value: object, path: str) -> tuple[str, ...]:
    """`gatewaysIps=203.0.113.1 203.0.114.1`."""
    key, _, addresses = fields.text(value, path).strip("; ").partition("=")
    if key != "gatewaysIps":
        raise fields.malformed(path, value, "gatewaysIps=ADDRESS…")
    return tuple(dict.fromkeys(fields.ipv4(each, path) for each in addresses.split()))


def _thresholds(value: object, path: str) -> dict[str, float]:
    """`minDiskNeeded=100.0,maxCpuUsage=100.0,maxMemoryUsage=100.0;`."""
    found = {}
    for part in filter(None, fields.text(value, path).strip("; ").split(",")):
        key, _, number = part.partition("=")
        if key not in _THRESHOLDS or not re.fullmatch(r"\d{1,10}(\.\d{1,10})?", number, re.ASCII):
            raise fields.malformed(path, part, "a threshold like maxCpuUsage=90.0")
        name, most = _THRESHOLDS[key]
        if float(number) > most:
            raise MalformedInputError(f"{key} is more than {most}", where=path)
        found[name] = float(number)
    return found
