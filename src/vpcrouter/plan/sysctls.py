"""The kernel's settings: which are to be set, of the router's devices and of those that it gives back. Pure.

Used by `kernel`, which knows when it is their turn: before links come up, or after they went down.

Deleting the first IPv4 address of a subnet takes the others of that subnet along unless promote_secondaries is
set, so it is set on every device the router owns, and on one that it gives back until its addresses are gone. What else
was set on that device becomes as on one that was just plugged in (`conf/default`); its MTU, which is none of these,
stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from attrs import frozen

from vpcrouter.values.desired import InterfaceAddress, Kernel, Link
from vpcrouter.values.incremental import Latest


@frozen(kw_only=True, order=True)
class Sysctl:
    """One value below /proc/sys, with single spaces between words."""

    path: str
    value: str


_OF_A_DEVICE = (
    "net/ipv4/conf/{}/arp_announce",
    "net/ipv4/conf/{}/arp_ignore",
    "net/ipv4/conf/{}/promote_secondaries",
    "net/ipv4/conf/{}/rp_filter",
    "net/ipv4/conf/{}/send_redirects",
    "net/ipv6/conf/{}/accept_ra",
    _GENERATES := "net/ipv6/conf/{}/addr_gen_mode",
    _DISABLES := "net/ipv6/conf/{}/disable_ipv6",
)
"""All that is ever set on a device."""


def wanted_sysctls(desired: Kernel) -> tuple[Sysctl, ...]:
    """The sysctls of the desired kernel, and those that the plan itself relies on."""
    return _wanted_sysctls(tuple(link.name for link in desired.links), desired.sysctls)


@lru_cache(maxsize=64)
def _wanted_sysctls(links: tuple[str, ...], sysctls: tuple[tuple[str, str], ...]) -> tuple[Sysctl, ...]:
    wanted = {f"net/ipv4/conf/{link}/promote_secondaries": "1" for link in links}
    wanted.update(sysctls)
    return tuple(Sysctl(path=path, value=" ".join(value.split())) for path, value in wanted.items())


def sysctl_paths(desired: Kernel) -> tuple[str, ...]:
    """The sysctls that a plan compares: those that are wanted, and those of devices that are given back."""
    return _PATHS.of(desired)


def _sysctl_paths(desired: Kernel) -> tuple[str, ...]:
    given_back = [link.name for link in desired.links if not link.up]
    return (
        *(sysctl.path for sysctl in wanted_sysctls(desired)),
        *(path.format(name) for name in (*given_back, "default") if given_back for path in _OF_A_DEVICE),
    )


_PATHS: Latest[Kernel, tuple[str, ...]] = Latest(_sysctl_paths)


def changed_sysctls(
    desired: Kernel, observed: Iterable[Sysctl], links: Iterable[Link], addresses: Iterable[InterfaceAddress]
) -> tuple[tuple[Sysctl, ...], tuple[str, ...]]:
    """What is to be set, and the paths of settings without a file though their device is there.

    `observed`: of `sysctl_paths`, those with a file; `links`, `addresses`: all that the machine has.
    """
    actual = {sysctl.path: sysctl.value for sysctl in observed}
    changed, missing = [], []
    present = {link.name for link in links}
    absent_devices = tuple(f"/{link.name}/" for link in desired.links if link.name not in present)
    with_addresses = {address.device for address in addresses}
    empty = {link.name for link in desired.links if not link.up and link.name not in with_addresses}
    given_back = {path.format(name) for name in empty for path in _OF_A_DEVICE}
    for sysctl in wanted_sysctls(desired):
        if sysctl.path in given_back:
            continue
        if sysctl.path not in actual:
            if not any(part in sysctl.path for part in absent_devices):
                missing.append(sysctl.path)
        elif actual[sysctl.path] != sysctl.value:
            changed.append(sysctl)
    return tuple(changed), tuple(missing)


def given_back_sysctls(desired: Kernel, observed: Iterable[Sysctl]) -> Iterator[Sysctl]:
    """What is to be set on devices that the router has no more to do with; of two of one path the later counts."""
    actual = {sysctl.path: sysctl.value for sysctl in observed}
    for link in desired.links:
        for setting in () if link.up else _OF_A_DEVICE:
            path, value = setting.format(link.name), actual.get(setting.format("default"))
            if value is None or actual.get(path, value) == value:
                continue
            if setting == _GENERATES:
                # Where IPv6 is on, the kernel makes an address at once, even on a device that is down.
                off = Sysctl(path=_DISABLES.format(link.name), value="1")
                actual[off.path] = off.value
                yield off
            yield Sysctl(path=path, value=value)
