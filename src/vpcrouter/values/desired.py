"""What a machine should look like (desired), and the same types for what it was seen to look like (observed).

`materialise` makes one `Desired` of state and role; each applier gets its own part of it and never the state.
Everything is sorted and canonical, so that equal configuration is an equal value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b

from attrs import field, frozen


@frozen(kw_only=True, order=True)
class Link:
    """A network device the router owns. `up` False: bare, without addresses, as before its first command."""

    name: str
    up: bool
    mtu: int | None = None
    """Bytes; None leaves it alone."""


@frozen(kw_only=True, order=True, cache_hash=True)
class InterfaceAddress:
    """An address with its prefix length on a device: `10.1.2.2/24` on `eth2`."""

    device: str
    address: str


@frozen(kw_only=True, order=True, cache_hash=True)
class Route:
    """A unicast route. `table` is a kernel table number; 254 is the main table."""

    network: str
    gateway: str
    device: str
    table: int = 254


@frozen(kw_only=True, order=True)
class PolicyRule:
    """An IPv4 policy rule: packets with this mark are routed by this table. Rules are asked in order of priority."""

    mark: int
    table: int
    priority: int


OVERLAY = "vpcsync"
"""The name of the one overlay that a router may have."""


@frozen(kw_only=True)
class Overlay:
    """A vxlan device (RFC 7348) of the router's own making: what is multicast on it goes to each of `remotes`."""

    number: int
    """Its VXLAN network identifier."""
    device: str
    """The packets go by this one, from `source` to `port`."""
    source: str
    port: int
    remotes: tuple[str, ...] = ()
    """Sorted."""


@frozen(kw_only=True)
class Kernel:
    """Links, addresses, routes, policy rules and sysctls.

    `links` lists every device the router owns: on those, an address or route that is not listed is drift.
    Devices that are not listed are left alone. `virtual_*` are keepalived's to set: they must be there while
    `serving`, and must not be there while not.
    """

    links: tuple[Link, ...] = ()
    addresses: tuple[InterfaceAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    """Paths below /proc/sys with slashes (`net/ipv4/ip_forward`), and their values."""
    overlay: Overlay | None = None
    """It is one of the `links` too. None: there must be none."""
    virtual_addresses: tuple[InterfaceAddress, ...] = ()
    virtual_routes: tuple[Route, ...] = ()
    elected_addresses: tuple[InterfaceAddress, ...] = ()
    """Keepalived's as well; whether they are there is a matter of each election, and not compared."""
    serving: bool | None = False
    """None: nobody knows yet (keepalived has not reported), and what is virtual is left as it is."""


@frozen(kw_only=True)
class NftSet:
    """A set or map. `spec` is what stands in its block before the elements (`type …; flags interval;`)."""

    name: str
    kind: str
    """`set` or `map`."""
    spec: str
    elements: tuple[tuple[str, str], ...] = ()
    """Sorted pairs of key and value; the value is empty in a set."""


@frozen(kw_only=True)
class NftChain:
    """A chain. `hook` is the text of a base chain (`type filter hook input priority filter; policy drop;`)."""

    name: str
    hook: str = ""
    rules: tuple[str, ...] = ()


@frozen(kw_only=True)
class Ruleset:
    """One nftables table of family inet, complete: counters and sets first, then chains in the order given.

    A chain may jump to chains and look up sets of this table only. It is loaded in one transaction. What a counter has
    counted stays, whatever becomes of the rest, for as long as it is listed.
    """

    table: str
    counters: tuple[str, ...] = ()
    """Names, as words."""
    sets: tuple[NftSet, ...] = ()
    chains: tuple[NftChain, ...] = ()


def digest(content: str) -> str:
    """What stands for a content where only equality counts."""
    return blake2b(content.encode(), digest_size=16).hexdigest()


@frozen(kw_only=True)
class File:
    """A generated file. `path` is absolute."""

    path: str
    content: str = field(repr=False)
    mode: int = 0o644

    @cached_property
    def digest(self) -> str:
        """What stands for its content; computed once."""
        return digest(self.content)


@frozen(kw_only=True)
class ShelfFile:
    """One of many files. Its content is made when it is written: all of them together may be some hundred megabytes."""

    name: str
    digest: bytes
    """That of the content (`content_digest`)."""
    content: Callable[[], bytes] = field(eq=False, repr=False)


def content_digest(content: bytes) -> bytes:
    """What stands for a content where only equality counts."""
    return blake2b(content, digest_size=16).digest()


@frozen(kw_only=True)
class Shelf:
    """A directory of files that one group of the machine may read, complete: files that are not listed go.

    There may be thousands: who puts one up touches that one only, and no daemon is told.
    """

    path: str
    group: str
    files: tuple[ShelfFile, ...] = field(default=(), repr=False)
    """Each name once. What is no file (a socket) is somebody else's and stays."""


@frozen(kw_only=True)
class Daemon:
    """A daemon that must run with these files.

    A change in `restart_files` needs a restart, one in `reload_files` a reload (a signal) only.
    """

    name: str
    restart_files: tuple[File, ...] = ()
    reload_files: tuple[File, ...] = ()
    shelf: Shelf | None = None
    """What it reads by itself whenever it needs it."""

    @property
    def files(self) -> tuple[File, ...]:
        """All its files."""
        return self.restart_files + self.reload_files


@frozen(kw_only=True)
class SiteTunnel:
    """The tunnels to another site: strongSwan's names of the connection and of what belongs to it."""

    peer: str
    name: str
    children: tuple[str, ...]
    initiates: bool
    """Else the other end begins."""


@frozen(kw_only=True)
class Tunnels:
    """What has to be up, and who may be connected, while charon runs."""

    sites: tuple[SiteTunnel, ...] = ()
    access: str | None = None
    """The name of the connection of single clients."""
    users: tuple[str, ...] = ()


@frozen(kw_only=True)
class Desired:
    """Everything. A daemon that is not listed must not run."""

    kernel: Kernel
    ruleset: Ruleset
    daemons: tuple[Daemon, ...] = ()
    """In the order in which they are started; keepalived last, so that a router serves only when it can."""
    undecided: tuple[str, ...] = ()
    """Daemons that are not listed and may run all the same: whether they must is not known yet."""
    tunnels: Tunnels = Tunnels()
    vrrp_interface: str | None = None
    """The device that VRRP runs over; None where there is no redundancy."""
