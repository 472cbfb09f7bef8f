"""What the kept keys of the boot line mean to a router. Pure.

A key is kept as the word that came (`RouterConfig.parameters`), also by earlier versions, which looked at none of them.
So each is read here, where it is used: one that means nothing (a gateway outside of the control network) has no effect,
and `without_effect` says why. So do the keys of which a router whose job is routing makes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from attrs import frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields
from vpcrouter.values.config import RouterConfig
from vpcrouter.values.networks import holds, network_of

T = TypeVar("T")

_IMAGE = "a matter of the machine's image, not of its routing"
REASONS = {
    "advert_int": "the interval is a setting of the agent, in milliseconds",
    "authorized_key": _IMAGE,
    "baremetalnotificationapikey": "there is no bare metal service here",
    "baremetalnotificationsecuritykey": "there is no bare metal service here",
    "extra_pubnics": "devices are used when an address comes for them",
    "gateway": "a control network is no way out",
    "host": "there is no bare metal service here",
    "ip6gateway": "a control network is no way out",
    "logrotatefrequency": "every log here has a limit of its own",
    "nic_macs": "devices have the names that the kernel gave them",
    "port": "there is no bare metal service here",
    "router_id": "the number of VRRP is 51, as in the server's template",
    "template": "nothing here depends on it",
    "userdata": _IMAGE,
    "vmpassword": _IMAGE,
}
"""Keys of which nothing is made, and why."""


@frozen
class Management:
    """Networks of the server, and the next hop on the control network."""

    networks: tuple[str, ...]
    gateway: str


def management(config: RouterConfig) -> Management | None:
    """`mgmtcidr` (one network or a comma list) by way of `localgw`."""
    found = dict(config.parameters)
    networks = _each(found.get("mgmtcidr", ""), fields.ipv4_network)
    gateway = _checked(found.get("localgw", ""), fields.ipv4)
    if not networks or gateway is None or config.control_address is None:
        return None
    host, _, length = config.control_address.partition("/")
    control = network_of(host, int(length))
    if gateway == host or not holds(control, gateway) or control in networks:
        return None
    return Management(networks, gateway)


def search_domains(config: RouterConfig) -> tuple[str, ...]:
    """`dnssearchorder`: what guests put behind a name that they look up."""
    return _each(dict(config.parameters).get("dnssearchorder", ""), fields.domain)


def control_ipv6(config: RouterConfig) -> str | None:
    """`eth0ip6` and `eth0ip6prelen`: the address with its prefix length."""
    found = dict(config.parameters)
    address = _checked(found.get("eth0ip6", ""), fields.ipv6)
    length = found.get("eth0ip6prelen", "")
    if address is None or not (length.isascii() and length.isdigit() and 1 <= int(length) <= 128):
        return None
    return f"{address}/{int(length)}"


def exposes_dns(config: RouterConfig) -> bool:
    """`exposedns`: whoever comes from a tier may ask, whatever its address."""
    return ("exposedns", "true") in config.parameters


def filters_reverse_path(config: RouterConfig) -> bool:
    """Not `disable_rp_filter`: what comes from a tier must have an address of the tier."""
    return ("disable_rp_filter", "true") not in config.parameters


def has_public_network(config: RouterConfig) -> bool:
    """Not `has_public_network=false`: then the way out leads by the lowest tier, whose gateway is somebody else."""
    return ("has_public_network", "false") not in config.parameters


def without_effect(config: RouterConfig) -> dict[str, str]:
    """The kept keys that nothing acts on, sorted, and why."""
    return dict(sorted(_without_effect(config)))


def _without_effect(config: RouterConfig) -> Iterator[tuple[str, str]]:
    kept = {key for key, _ in (*config.parameters, *config.secret_parameters)}
    for key in kept & REASONS.keys():
        yield key, REASONS[key]
    if management(config) is None:
        for key in kept & {"mgmtcidr", "localgw"}:
            yield key, "a route needs both, and a next hop in the control network"
    if control_ipv6(config) is None:
        for key in kept & {"eth0ip6", "eth0ip6prelen"}:
            yield key, "an address needs both"
    if "dnssearchorder" in kept and not search_domains(config):
        yield "dnssearchorder", "it is no list of domains"


def _checked(text: str, check: Callable[[object, str], T]) -> T | None:
    try:
        return check(text, "")
    except MalformedInputError:
        return None


def _each(text: str, check: Callable[[object, str], str]) -> tuple[str, ...]:
    """All parts of a comma list; nothing if one of them is wrong."""
    found = [_checked(part, check) for part in text.split(",") if part]
    return tuple(dict.fromkeys(each for each in found if each is not None)) if None not in found else ()
