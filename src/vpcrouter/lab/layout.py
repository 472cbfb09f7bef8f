"""What the laboratory looks like: the one place for its names, addresses and cables. Pure.

Called by every other module of the laboratory. The names are a promise to scripts outside; nothing here knows
whether any of it exists.
"""

from __future__ import annotations

import re

from attrs import field, frozen
from attrs.validators import matches_re

from vpcrouter.errors import CallerError

ROUTERS = ("rA", "rB")
MORE = ("rC", "rD")
"""There on request; see `Names.routers`."""
ALL_ROUTERS = (*ROUTERS, *MORE)
TIERS = range(2, 10)
SWITCH = "sw"
OUTSIDE = "ext"
GUESTS = tuple(f"vm{tier}" for tier in TIERS)
NODES = (SWITCH, *ALL_ROUTERS, OUTSIDE, *GUESTS)
"""All that there may be."""

OUTSIDE_ADDRESS = "203.0.113.1"
SECOND_OUTSIDE_ADDRESS = "198.51.100.1"
PUBLIC_MAC = "06:00:00:00:00:01"
"""On eth1 of all routers, as CloudStack has it: the public side moves without anyone learning a new MAC."""

_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", re.ASCII)


@frozen(kw_only=True)
class Cable:
    """One device of a node and the bridge of the switch that it is plugged into."""

    node: str
    device: str
    mac: str
    bridge: str

    @property
    def port(self) -> str:
        """The other end, a device of the switch."""
        return f"{self.node}-{self.device}"


def _router_cables(node: str) -> tuple[Cable, ...]:
    last = f"{10 + ALL_ROUTERS.index(node):02x}"
    macs = [f"02:01:00:{number:02x}:00:{last}" for number in range(TIERS.stop)]
    macs[1] = PUBLIC_MAC
    return tuple(
        Cable(node=node, device=f"eth{number}", mac=mac, bridge=f"br{number}") for number, mac in enumerate(macs)
    )


CABLES: tuple[Cable, ...] = (
    *(cable for router in ALL_ROUTERS for cable in _router_cables(router)),
    Cable(node=OUTSIDE, device="eth0", mac="02:00:cb:00:71:01", bridge="br1"),
    *(Cable(node=f"vm{tier}", device="eth0", mac=f"02:00:0a:01:{tier:02x}:64", bridge=f"br{tier}") for tier in TIERS),
)
BRIDGES = tuple(f"br{number}" for number in range(TIERS.stop))

ADDRESSES: dict[str, tuple[str, ...]] = {
    OUTSIDE: (f"{OUTSIDE_ADDRESS}/24", f"{SECOND_OUTSIDE_ADDRESS}/32"),
    **{f"vm{tier}": (f"10.1.{tier}.100/24",) for tier in TIERS},
}
"""The addresses of a host, the one it sends from first. Routers have none until commands arrive."""

GATEWAYS: dict[str, str] = {f"vm{tier}": f"10.1.{tier}.1" for tier in TIERS}


@frozen
class Names:
    """The namespaces of the laboratory with one prefix."""

    prefix: str = field(validator=matches_re(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"))
    routers: tuple[str, ...] = ROUTERS
    """Two to four."""

    @classmethod
    def checked(cls, prefix: str, routers: tuple[str, ...] = ROUTERS) -> Names:
        """The same for a prefix from outside: CallerError instead of ValueError."""
        try:
            return cls(prefix, routers)
        except ValueError:
            raise CallerError(
                f"{prefix!r} cannot be a prefix",
                where="--prefix",
                hint="1 to 32 letters, digits, '-' and '_', beginning with a letter or a digit",
            ) from None

    def namespace(self, node: str) -> str:
        """The namespace of a node."""
        return f"{self.prefix}-{node}"

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node of the laboratory, the switch first."""
        return tuple(node for node in NODES if node not in MORE or node in self.routers)

    @property
    def cables(self) -> tuple[Cable, ...]:
        """Every cable of the laboratory."""
        return tuple(cable for cable in CABLES if cable.node in self.nodes)

    @property
    def all(self) -> tuple[str, ...]:
        """Every namespace that the laboratory may have, the switch first."""
        return tuple(self.namespace(node) for node in NODES)


def check_node(node: str) -> str:
    """The node itself; CallerError if there is none of that name."""
    if node not in NODES:
        raise CallerError(f"there is no node {node!r}", where="NODE", hint=f"one of {', '.join(NODES)}")
    return node


def check_router(node: str) -> str:
    """The router itself; CallerError if there is none of that name."""
    if node not in ALL_ROUTERS:
        raise CallerError(f"there is no router {node!r}", where="ROUTER", hint="rA, rB; rC and rD where there are more")
    return node


def cables_of(node: str) -> tuple[Cable, ...]:
    """All cables of a node, in the order of their devices."""
    return tuple(cable for cable in CABLES if cable.node == node)


def find_cable(node: str, device: str) -> Cable:
    """The cable of a node's device; CallerError names the devices that it has."""
    cables = cables_of(check_node(node))
    for cable in cables:
        if cable.device == device:
            return cable
    has = ", ".join(cable.device for cable in cables) or "no cable: cut the other end"
    raise CallerError(f"{node} has no device {device!r}", where="IFACE", hint=f"it has {has}")


def address_of(node: str) -> str:
    """The address at which a host is reached; CallerError for a node that has none of its own."""
    if check_node(node) not in ADDRESSES:
        raise CallerError(f"{node} has no address of its own", where="NODE", hint="ext, vm2 … vm9 or an IPv4 address")
    return ADDRESSES[node][0].partition("/")[0]


def host_of(address: str) -> str | None:
    """The host that has this address from the start, if any does."""
    for node, addresses in ADDRESSES.items():
        if address in (entry.partition("/")[0] for entry in addresses):
            return node
    return None


def is_address(text: str) -> bool:
    """Whether this looks like an IPv4 address rather than a node's name."""
    return _ADDRESS.fullmatch(text) is not None
