"""Links, addresses, routes and rules: which operations make the observed ones equal to the desired ones. Pure.

The applier observes and does; nothing here knows netlink. A plan has parts, because keepalived works on the same
devices and stands between the last two:

    first   the overlay is made      what is on it can only be planned when it is there
    early   sysctls → links up → own addresses → own routes → rules    before keepalived is reloaded
    late    rules, routes, addresses away → links down → their sysctls  after it was reloaded

A link that goes down under a running instance puts that into fault, and an address that vanishes before its
successor is there loses packets. So everything is added early and removed late.

What is ours: on the devices in `Kernel.links` every address, and every route in the tables that are used, except
those of FOREIGN_PROTOCOLS; everywhere else only routes with OUR_PROTOCOL; the policy rules with that number, and
whoever's that ask a table of ours. Virtual addresses and routes are keepalived's: the plan never touches them, it
lists those that are awaited. `repair_virtual` is for a keepalived that does not do its part.

Which sysctls are set is said by `sysctls`; promote_secondaries among them keeps the other addresses of a subnet when
its first one goes. The router's own addresses come first, that is how they become the primary ones; a virtual address
that was there before stays primary, for taking it away to put it second would be an outage.

Known holes: multipath routes, routes with a TOS and types other than unicast are never seen; of IPv6 routes only
those with OUR_PROTOCOL count as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import evolve, field, frozen

from vpcrouter.plan import Operation
from vpcrouter.plan.sysctls import Sysctl, changed_sysctls, given_back_sysctls
from vpcrouter.values.desired import OVERLAY, InterfaceAddress, Kernel, Link, Overlay, PolicyRule, Route
from vpcrouter.values.incremental import Difference, Latest
from vpcrouter.values.networks import ROUTER_LINK_LOCAL, is_ipv6, is_link_local, network_of

OUR_PROTOCOL = 77
"""The route protocol number (rtnetlink(7), `proto` in ip-route) that marks a route as made by vpcrouter."""
CONNECTED_PROTOCOL = 2
"""RTPROT_KERNEL of linux/rtnetlink.h: the routes that the kernel makes for its addresses."""
KEEPALIVED_PROTOCOL = 18
"""RTPROT_KEEPALIVED of linux/rtnetlink.h."""
FOREIGN_PROTOCOLS = frozenset({1, CONNECTED_PROTOCOL, 9, KEEPALIVED_PROTOCOL})
"""Redirects, the kernel's own routes, router advertisements, keepalived: theirs to remove, on any device."""
MAIN_TABLE = 254


@frozen(kw_only=True, order=True, cache_hash=True)
class RouteEntry:
    """A route as it stands in the kernel: who made it, and its metric (0: none given)."""

    route: Route
    protocol: int
    metric: int = 0


@frozen(kw_only=True, order=True)
class RuleEntry:
    """A policy rule as it stands in the kernel. `rule` is None if it selects packets by anything but a whole mark.

    `payload` is the kernel's own description, by which any rule can be removed.
    """

    rule: PolicyRule | None
    table: int
    protocol: int
    words: str
    payload: bytes = field(default=b"", repr=False)


@frozen(kw_only=True, order=True)
class ConnectedRoute:
    """The route to the network of an address. The kernel makes it with the address, and not again if it is deleted."""

    network: str
    device: str
    source: str


@frozen(kw_only=True, order=True)
class Remote:
    """One of those whom the overlay's multicasts go to."""

    address: str


@frozen(kw_only=True)
class ObservedKernel:
    """What the machine has: all links, all addresses and unicast routes that the kernel did not make itself.

    `connected` are those that it did make for IPv4 addresses, as pairs of network and device. Of the sysctls those
    that the plan compares (`sysctl_paths`); one without a file is left out.
    """

    links: tuple[Link, ...] = ()
    addresses: tuple[InterfaceAddress, ...] = ()
    routes: tuple[RouteEntry, ...] = ()
    connected: frozenset[tuple[str, str]] = frozenset()
    rules: tuple[RuleEntry, ...] = ()
    """IPv4's, but for the three that the kernel itself made."""
    sysctls: tuple[Sysctl, ...] = ()
    overlay: Overlay | None = None
    """Whatever has its name; number 0 if it is no vxlan device."""

    @property
    def unannounced(self) -> Unannounced:
        """The part of which the kernel notifies nobody."""
        return self.sysctls, () if self.overlay is None else self.overlay.remotes


Unannounced = tuple[tuple[Sysctl, ...], tuple[str, ...]]
"""Sysctls, and the remotes of the overlay."""


@frozen(kw_only=True)
class KernelOperation(Operation):
    """One change: `add` and `remove` of an address, a route or a rule, `set` of a link, a route or a sysctl."""

    item: Link | InterfaceAddress | RouteEntry | ConnectedRoute | RuleEntry | Sysctl | Overlay | Remote


@frozen(kw_only=True)
class KernelPlan:
    """What is to be done before and after keepalived's reload, and what is not ours to do."""

    first: tuple[KernelOperation, ...] = ()
    """A device is made; then look again."""
    early: tuple[KernelOperation, ...] = ()
    late: tuple[KernelOperation, ...] = ()
    awaited: tuple[str, ...] = ()
    """Virtual addresses and routes that keepalived has yet to add or to remove, in words."""
    missing_links: tuple[str, ...] = ()
    """Devices that should be up and do not exist; everything on them waits until they are plugged in."""
    missing_sysctls: tuple[str, ...] = ()
    """Settings without a file, though their device is there: the module is not loaded."""

    @property
    def is_settled(self) -> bool:
        """Nothing to do and nothing awaited. Missing links and sysctls do not count: nobody here can add them."""
        return not (self.first or self.early or self.late or self.awaited)


def plan_kernel(desired: Kernel, observed: ObservedKernel) -> KernelPlan:
    """The operations that make `observed` equal to `desired`; none if it is."""
    return _PLANS.of(desired, observed)


def _plan(desired: Kernel, observed: ObservedKernel) -> KernelPlan:
    present = {link.name: link for link in observed.links}
    up = {link.name for link in desired.links if link.up and link.name in present}
    changed, missing_sysctls = changed_sysctls(desired, observed.sysctls, observed.links, observed.addresses)
    early_addresses, late_addresses = _addresses(desired, observed, up)
    early_routes, late_routes = _routes(desired, observed, up)
    early_rules, late_rules = _rules(desired, observed)
    first, early_remotes, late_overlay = _overlay(desired, observed, present)
    awaited = repair_virtual(desired, observed)
    if any(each.action == "add" for each in awaited):
        # Of ours, some may bridge until keepalived has put back what it moves: they go when that is there.
        late_routes = [each for each in late_routes if not _is_our_route(each)]
    return KernelPlan(
        first=first,
        early=(
            *map(_sysctl, changed),
            *_links_up(desired, present),
            *early_addresses,
            *_connected_routes(desired, observed, present),
            *early_routes,
            *early_rules,
            *early_remotes,
        ),
        late=(
            *late_overlay,
            *late_rules,
            *late_routes,
            *late_addresses,
            *_links_down(desired, present),
            *map(_sysctl, given_back_sysctls(desired, (*observed.sysctls, *changed))),
        ),
        awaited=tuple(f"{each.subject} {_AWAITED[each.action]}" for each in awaited),
        missing_links=tuple(link.name for link in desired.links if link.up and link.name not in present),
        missing_sysctls=missing_sysctls,
    )


_AWAITED = {"add": "is not there yet", "remove": "is still there"}
_PLANS: Latest[Kernel, ObservedKernel, KernelPlan] = Latest(_plan)
"""A pass does the parts of a plan one by one, and plans anew only if something was done."""


def repair_virtual(desired: Kernel, observed: ObservedKernel) -> tuple[KernelOperation, ...]:
    """Keepalived's part, done by hand: virtual addresses and routes that are missing, or that must not be there.

    For a virtual address that somebody deleted, and for what a killed keepalived left behind: virtual addresses
    while not serving, and on the router's devices any route of keepalived's that is not a virtual one (any more).
    Added routes get keepalived's protocol number, so that it finds them as its own later.
    """
    if desired.serving is None:
        return ()
    present = {link.name for link in observed.links}
    owned = {link.name for link in desired.links}
    addresses = set(observed.addresses)
    virtual = set(desired.virtual_routes)
    wanted = virtual if desired.serving else set()
    standing = {
        entry: entry.route
        for entry in observed.routes
        if entry.protocol == KEEPALIVED_PROTOCOL
        or (entry.protocol != OUR_PROTOCOL and entry.metric == 0 and entry.route in virtual)
    }
    found = set(standing.values())
    return (
        *(
            _address("add", address)
            for address in desired.virtual_addresses
            if desired.serving and address.device in present and address not in addresses
        ),
        *(
            _route("add", RouteEntry(route=route, protocol=KEEPALIVED_PROTOCOL))
            for route in desired.virtual_routes
            if desired.serving and route.device in present and route not in found
        ),
        *(
            _route("remove", entry)
            for entry, route in standing.items()
            if route not in wanted and (route.device in owned or route in virtual)
        ),
        *(
            _address("remove", address)
            for address in desired.virtual_addresses
            if not desired.serving and address in addresses
        ),
    )


def give_up(desired: Kernel) -> tuple[KernelOperation, ...]:
    """All of keepalived's part away, whether it is there or not."""
    return (
        *(_route("remove", RouteEntry(route=each, protocol=KEEPALIVED_PROTOCOL)) for each in desired.virtual_routes),
        *(_address("remove", each) for each in (*desired.virtual_addresses, *desired.elected_addresses)),
    )


def _overlay(
    desired: Kernel, observed: ObservedKernel, present: dict[str, Link]
) -> tuple[tuple[KernelOperation, ...], tuple[KernelOperation, ...], tuple[KernelOperation, ...]]:
    """First, early, late. One that is another, or goes by another device, is made anew; its remotes come and go."""
    wanted, found = desired.overlay, observed.overlay
    gone = () if found is None else (_overlay_operation("remove", found),)
    if wanted is None:
        return (), (), gone
    if found is None or evolve(found, remotes=()) != evolve(wanted, remotes=()):
        made = (*gone, _overlay_operation("add", wanted)) if wanted.device in present else ()
        return made, (), ()
    return (
        (),
        tuple(_remote("add", each) for each in wanted.remotes if each not in found.remotes),
        tuple(_remote("remove", each) for each in found.remotes if each not in wanted.remotes),
    )


def _overlay_operation(action: str, overlay: Overlay) -> KernelOperation:
    subject = f"link {OVERLAY} type vxlan id {overlay.number} dev {overlay.device or '?'} local {overlay.source or '?'}"
    return KernelOperation(target="kernel", action=action, subject=subject, item=overlay)


def _remote(action: str, address: str) -> KernelOperation:
    subject = f"remote {address} of {OVERLAY}"
    return KernelOperation(target="kernel", action=action, subject=subject, item=Remote(address=address))


def _links_up(desired: Kernel, present: dict[str, Link]) -> Iterator[KernelOperation]:
    for link in desired.links:
        actual = present.get(link.name)
        if actual is None or not link.up:
            continue
        mtu = link.mtu if link.mtu != actual.mtu else None
        if mtu is not None or not actual.up:
            words = ([] if actual.up else ["up"]) + ([] if mtu is None else [f"mtu {mtu}"])
            yield _link(evolve(link, mtu=mtu), " ".join(words))


def _links_down(desired: Kernel, present: dict[str, Link]) -> Iterator[KernelOperation]:
    for link in desired.links:
        actual = present.get(link.name)
        if actual is not None and actual.up and not link.up:
            yield _link(Link(name=link.name, up=False), "down")


def _addresses(
    desired: Kernel, observed: ObservedKernel, up: set[str]
) -> tuple[list[KernelOperation], list[KernelOperation]]:
    wanted = {address: None for address in desired.addresses if address.device in up}
    kept = wanted.keys() | {*desired.virtual_addresses, *desired.elected_addresses}
    owned = {link.name for link in desired.links}
    actual = set(observed.addresses)
    surplus = [
        each for each in observed.addresses if each.device in owned and each not in kept and not _is_the_kernels(each)
    ]
    # IPv6 knows an address once for each device, whatever its prefix length: the old one has to go first.
    in_the_way = {_ipv6_key(each): each for each in surplus if is_ipv6(each.address)}
    early: list[KernelOperation] = []
    for address in wanted:
        if address not in actual:
            if (obstacle := in_the_way.pop(_ipv6_key(address), None)) is not None:
                early.append(_address("remove", obstacle))
                surplus.remove(obstacle)
            early.append(_address("add", address))
    return early, [_address("remove", each) for each in surplus]


def _is_the_kernels(each: InterfaceAddress) -> bool:
    """A link-local IPv6 address that a device has by itself; all but the one that the routers share count as such."""
    return is_link_local(each.address) and each.address.partition("/")[0] != ROUTER_LINK_LOCAL


def _connected_routes(desired: Kernel, observed: ObservedKernel, present: dict[str, Link]) -> Iterator[KernelOperation]:
    """The routes that somebody deleted under addresses that are there; those of new addresses the kernel makes."""
    there = set(observed.addresses)
    seen = set(observed.connected)
    for address in (*desired.addresses, *desired.virtual_addresses):
        host, _, length = address.address.partition("/")
        link = present.get(address.device)
        if address not in there or is_ipv6(host) or length == "32" or link is None or not link.up:
            continue
        network = network_of(host, int(length))
        if (network, address.device) not in seen:
            seen.add((network, address.device))
            item = ConnectedRoute(network=network, device=address.device, source=host)
            subject = f"route {network} dev {address.device}"
            yield KernelOperation(target="kernel", action="add", subject=subject, item=item)


def _ipv6_key(address: InterfaceAddress) -> tuple[str, str]:
    return address.device, address.address.partition("/")[0]


def _routes(
    desired: Kernel, observed: ObservedKernel, up: set[str]
) -> tuple[list[KernelOperation], list[KernelOperation]]:
    wanted = tuple([route for route in desired.routes if route.device in up])
    ours = tuple([entry.route for entry in observed.routes if entry.protocol == OUR_PROTOCOL and not entry.metric])
    lacking, unwanted = _ROUTES.of(wanted, ours)
    missing = dict.fromkeys(route for route in wanted if route in lacking) if lacking else {}
    has_surplus = unwanted or len(ours) < len(observed.routes)
    surplus = (
        [
            entry
            for entry in observed.routes
            if entry.protocol != OUR_PROTOCOL or entry.metric or entry.route in unwanted
        ]
        if has_surplus
        else []
    )
    # The kernel replaces the first route of the same network, table and metric.
    first: dict[tuple[str, int], RouteEntry] = {}
    for entry in surplus:
        if entry.metric == 0:
            first.setdefault((entry.route.network, entry.route.table), entry)
    replaced = set()
    early = []
    for route in missing:
        entry = RouteEntry(route=route, protocol=OUR_PROTOCOL)
        old = first.get((route.network, route.table))
        early.append(_route("add" if old is None else "set", entry))
        replaced.add(old)
    if not surplus:
        return early, []
    is_ours = _our_routes(desired)
    return early, [_route("remove", entry) for entry in surplus if entry not in replaced and is_ours(entry)]


_ROUTES: Difference[Route] = Difference()
"""There may be thousands of ours, and a pass asks about the same ones several times."""


def _is_our_route(operation: KernelOperation) -> bool:
    return isinstance(operation.item, RouteEntry) and operation.item.protocol == OUR_PROTOCOL


def _our_routes(desired: Kernel) -> Callable[[RouteEntry], bool]:
    """Whether a route is ours to remove: one with our number, or one that somebody put on our devices."""
    owned = {link.name for link in desired.links}
    tables = {MAIN_TABLE, *(route.table for route in (*desired.routes, *desired.virtual_routes))}
    virtual = {*desired.virtual_routes}

    def is_ours(entry: RouteEntry) -> bool:
        route = entry.route
        return entry.protocol == OUR_PROTOCOL or (
            entry.protocol not in FOREIGN_PROTOCOLS
            and route.device in owned
            and route.table in tables
            and not is_ipv6(route.network)
            and not (route in virtual and entry.metric == 0)
        )

    return is_ours


def _rules(
    desired: Kernel, observed: ObservedKernel
) -> tuple[tuple[KernelOperation, ...], tuple[KernelOperation, ...]]:
    standing = {entry.rule for entry in observed.rules if entry.protocol == OUR_PROTOCOL}
    tables = {rule.table for rule in desired.rules}
    kept: set[PolicyRule] = set()
    surplus = []
    for entry in observed.rules:
        ours = entry.protocol == OUR_PROTOCOL
        if ours and entry.rule in desired.rules and entry.rule not in kept:
            kept.add(entry.rule)
        elif ours or entry.table in tables:
            surplus.append(_rule("remove", entry))
    added = tuple(
        _rule("add", RuleEntry(rule=rule, table=rule.table, protocol=OUR_PROTOCOL, words=rule_words(rule)))
        for rule in desired.rules
        if rule not in standing
    )
    return added, tuple(surplus)


def rule_words(rule: PolicyRule) -> str:
    """As `ip rule` has it."""
    return f"priority {rule.priority} fwmark {rule.mark} lookup {rule.table}"


def _rule(action: str, entry: RuleEntry) -> KernelOperation:
    return KernelOperation(target="kernel", action=action, subject=f"rule {entry.words}", item=entry)


def _sysctl(sysctl: Sysctl) -> KernelOperation:
    subject = f"sysctl {sysctl.path} to {sysctl.value}"
    return KernelOperation(target="kernel", action="set", subject=subject, item=sysctl)


def _link(link: Link, words: str) -> KernelOperation:
    return KernelOperation(target="kernel", action="set", subject=f"link {link.name} {words}", item=link)


def _address(action: str, address: InterfaceAddress) -> KernelOperation:
    subject = f"address {address.address} on {address.device}"
    return KernelOperation(target="kernel", action=action, subject=subject, item=address)


def _route(action: str, entry: RouteEntry) -> KernelOperation:
    route = entry.route
    subject = f"route {route.network}"
    if route.gateway:
        subject += f" via {route.gateway}"
    subject += f" dev {route.device}"
    if route.table != MAIN_TABLE:
        subject += f" table {route.table}"
    if entry.metric:
        subject += f" metric {entry.metric}"
    return KernelOperation(target="kernel", action=action, subject=subject, item=entry)
