"""What a VPC router is configured with: one frozen class per thing, shared by commands, events and the state.

Every class checks itself when it is made, field by field, and raises MalformedInputError with the name of the
field. A record of the journal whose checksum is good was checked before it was stored and is not asked again (see
`events.schema`). Addresses and networks are canonical strings (see `fields`); nothing
here knows another thing: what fits together is decided in `decide`.
"""

from __future__ import annotations

from attrs import frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields, networks
from vpcrouter.values.checks import checked, each, flag, many, optional, within

_PREFIX_LENGTHS = frozenset(map(str, range(1, 33)))
_PROTOCOLS = frozenset({"tcp", "udp", "icmp", "all", *map(str, range(256))})


_IPV4_LEAST_MTU = 68
_IPV6_LEAST_MTU = 1280


def _interface_address(value: object, path: str) -> str:
    """An IPv4 host address with its prefix length: 169.254.0.21/16."""
    host, slash, length = (value if isinstance(value, str) else "").partition("/")
    if not slash or length not in _PREFIX_LENGTHS:
        raise fields.malformed(path, value, "an address with a prefix length like 169.254.0.21/16")
    address = fields.ipv4(host, path)
    network = fields.host_network(networks.network_of(address, int(length)), path)
    if not networks.usable(network, address):
        raise fields.malformed(path, value, f"a host address of {network}")
    return f"{address}/{int(length)}"


def _parameter(value: object, path: str) -> tuple[str, str]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise MalformedInputError("a boot parameter is a key and a value", where=path)
    return fields.word(value[0], path), fields.word(value[1], path, 65536)


@frozen(kw_only=True, repr=False)
class Secret:
    """A text that never appears in a listing, a log or a traceback; whoever needs it asks for `.reveal()`."""

    _text: str

    def reveal(self) -> str:
        """The text itself. Only a file with mode 0600 or the journal may receive it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"


def secret(value: object, path: str) -> Secret:
    """The check of a secret field."""
    if not isinstance(value, Secret):
        raise MalformedInputError("is not a Secret", where=path)
    try:
        fields.word(value.reveal(), path, 65536)
    except MalformedInputError:
        raise MalformedInputError("is a secret of other than printable characters", where=path) from None
    return value


def _secret_parameter(value: object, path: str) -> tuple[str, Secret]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise MalformedInputError("a boot parameter is a key and a value", where=path)
    return fields.word(value[0], path), secret(value[1], path)


@frozen(kw_only=True)
class RouterConfig:
    """The boot parameters (CloudStack's cmd_line) as far as a VPC router acts on them; the rest is `parameters`.

    `name`, `control_address` and `prefers_master` are this router's own; everything else is the same on both.
    """

    name: str = checked(fields.host_name)
    vpc_network: str = checked(fields.host_network)
    domain: str | None = optional(fields.domain)
    resolvers: tuple[str, ...] = each(fields.address)
    control_address: str | None = optional(_interface_address)
    redundant: bool = flag(False)
    prefers_master: bool = flag(False)
    """The server's guess at the first master: used for the first election only, never believed as a role."""
    source_nat_address: str | None = optional(fields.ipv4)
    public_mtu: int = within(68, 65535, 1500)
    routed: bool = flag(False)
    """A routed VPC: no source NAT."""
    uses_external_resolvers: bool = flag(False)
    """Guests are told the external resolvers only; the router does not resolve for them."""
    uses_only_own_resolver: bool = flag(False)
    """Guests are told the gateway as their only resolver."""
    password: Secret | None = optional(secret)
    """Shared by the pair."""
    parameters: tuple[tuple[str, str], ...] = each(_parameter)
    """The other keys, sorted, kept since the journal is the only record of them."""
    secret_parameters: tuple[tuple[str, Secret], ...] = each(_secret_parameter)

    @property
    def filters_public_addresses(self) -> bool:
        """Whether the VPC has the firewall of public addresses; otherwise its rules have no effect."""
        return ("vpc_firewall_enabled", "true") in self.parameters


@frozen(kw_only=True)
class Tier:
    """A guest network. `address` and `mac` are this router's own; the rest is the same on both."""

    device: str = checked(fields.tier_device)
    network: str = checked(fields.host_network)
    gateway: str = checked(fields.ipv4)
    address: str = checked(fields.ipv4)
    mac: str | None = optional(fields.mac)
    domain: str | None = optional(fields.domain)
    resolvers: tuple[str, ...] = each(fields.ipv4)
    mtu: int = within(68, 65535, 1500)
    network_id: int = within(0, 2**63 - 1, 0)
    is_gateway: bool = flag(True)
    """False: somebody else is the guests' gateway; no gateway service and no source NAT here."""
    ipv6: TierIpv6 | None = None

    def __attrs_post_init__(self) -> None:
        """The gateway and the own address must be hosts of the network."""
        for name in ("gateway", "address"):
            if not networks.usable(self.network, getattr(self, name)):
                raise MalformedInputError(f"{getattr(self, name)} is not a host address of {self.network}", where=name)
        if self.ipv6 is not None and not isinstance(self.ipv6, TierIpv6):
            raise fields.malformed("ipv6", self.ipv6, "a TierIpv6")
        if self.ipv6 is not None and self.mtu < _IPV6_LEAST_MTU:
            raise MalformedInputError(f"IPv6 needs an MTU of {_IPV6_LEAST_MTU} at least (RFC 8200)", where="mtu")


@frozen(kw_only=True)
class TierIpv6:
    """The IPv6 side of a tier, and the public IPv6 address of the router that comes with it.

    `address` and `public_address` are this router's own; the rest is the same on both.
    """

    network: str = checked(fields.host_ipv6_network)
    gateway: str = checked(fields.ipv6)
    address: str = checked(fields.ipv6)
    resolvers: tuple[str, ...] = each(fields.ipv6)
    public_network: str | None = optional(fields.host_ipv6_network)
    public_gateway: str | None = optional(fields.ipv6)
    public_address: str | None = optional(fields.ipv6)

    def __attrs_post_init__(self) -> None:
        """Gateways and own addresses must be hosts of their networks; a public gateway may be a link-local address."""
        for name in ("gateway", "address"):
            if not networks.usable(self.network, getattr(self, name)):
                raise MalformedInputError(f"{getattr(self, name)} is not a host address of {self.network}", where=name)
        network, gateway, address = self.public_network, self.public_gateway, self.public_address
        if network is None or gateway is None or address is None:
            if (network, gateway, address) != (None, None, None):
                name = next(n for n in ("public_network", "public_gateway", "public_address") if not getattr(self, n))
                raise MalformedInputError("is missing, and what belongs with it is there", where=name)
            return
        if networks.overlap(network, self.network):
            raise MalformedInputError(f"{network} overlaps {self.network}", where="public_network")
        if not networks.usable(network, address):
            raise MalformedInputError(f"{address} is not a host address of {network}", where="public_address")
        if gateway == address or not (networks.usable(network, gateway) or networks.is_link_local(gateway)):
            raise MalformedInputError(f"{gateway} is no other host of {network}", where="public_gateway")


@frozen(kw_only=True)
class PublicAddress:
    """An address on a public device or a private gateway. `mac` is the device's, and this router's own."""

    address: str = checked(fields.ipv4)
    network: str = checked(fields.host_network)
    gateway: str = checked(fields.ipv4)
    device: str = checked(fields.device)
    mac: str | None = optional(fields.mac)
    mtu: int = within(0, 65535, 1500)
    """0: none was named, and that of the device's other addresses or of the boot parameters holds."""
    private_gateway: bool = flag(False)
    source_nat: bool = flag(False)
    """On a private gateway: hide the VPC behind this address. Elsewhere see `state.source_nat_address`."""

    def __attrs_post_init__(self) -> None:
        """The address and its gateway must be two hosts of the network, and packets long enough for IPv4."""
        if 0 < self.mtu < _IPV4_LEAST_MTU:
            raise MalformedInputError(f"IPv4 needs an MTU of {_IPV4_LEAST_MTU} at least (RFC 791)", where="mtu")
        for name in ("address", "gateway"):
            if not networks.usable(self.network, getattr(self, name)):
                raise MalformedInputError(f"{getattr(self, name)} is not a host address of {self.network}", where=name)
        if self.gateway == self.address:
            raise MalformedInputError(f"{self.address} is its own gateway", where="gateway")


def _check_ports(first: int, last: int) -> None:
    """Ports run from low to high, and 0 only as 0–0."""
    if first > last or (first == 0 and last != 0):
        raise MalformedInputError(f"{first}-{last} is not a port range", where="first_port")


def _acl_protocol(value: object, path: str) -> str:
    if not isinstance(value, str) or value not in _PROTOCOLS:
        raise fields.malformed(path, value, "tcp, udp, icmp, all or a protocol number from 0 to 255")
    return value


@frozen(kw_only=True, cache_hash=True)  # what is made of a rule is kept by rule, and there may be 10,000
class AclRule:
    """One rule of an ACL. Ports 0–0 mean any, ICMP −1 means any.

    `networks` are the sources of an ingress rule, the destinations of an egress rule; both families mixed.
    """

    protocol: str = checked(_acl_protocol)
    first_port: int = within(0, 65535, 0)
    last_port: int = within(0, 65535, 0)
    icmp_type: int = within(-1, 255, -1)
    icmp_code: int = within(-1, 255, -1)
    networks: tuple[str, ...] = each(fields.filter_network)
    allowed: bool = flag(True)

    def __attrs_post_init__(self) -> None:
        """Ports make a range."""
        _check_ports(self.first_port, self.last_port)


@frozen(kw_only=True)
class Acl:
    """The rules of one tier or private gateway, in order; the first match wins."""

    device: str = checked(fields.tier_device)
    ingress: tuple[AclRule, ...] = many(AclRule)
    egress: tuple[AclRule, ...] = many(AclRule)
    private_gateway: bool = flag(False)


def rule_id(value: object, path: str) -> int:
    """The number by which the server knows a firewall rule."""
    return fields.integer(value, path, 0, 2**63 - 1)


def _firewall_protocol(value: object, path: str) -> str:
    if value not in ("tcp", "udp", "icmp", "all") or not isinstance(value, str):
        raise fields.malformed(path, value, "tcp, udp, icmp or all")
    return value


@frozen(kw_only=True)
class FirewallRule:
    """What may reach a public address; what no rule names may not. Ports 0–0 mean any, ICMP −1 means any."""

    rule_id: int = checked(rule_id)
    address: str = checked(fields.ipv4)
    protocol: str = checked(_firewall_protocol)
    first_port: int = within(0, 65535, 0)
    last_port: int = within(0, 65535, 0)
    icmp_type: int = within(-1, 255, -1)
    icmp_code: int = within(-1, 255, -1)
    sources: tuple[str, ...] = each(fields.filter_network)

    def __attrs_post_init__(self) -> None:
        """Ports make a range."""
        _check_ports(self.first_port, self.last_port)


@frozen(kw_only=True)
class Ipv6FirewallRule:
    """What may pass to or from the guests of an IPv6 network. Ports 0–0 mean any, ICMP −1 means any.

    An empty list of networks means all. `opens` False: an exception from what passes otherwise.
    """

    rule_id: int = checked(rule_id)
    network: str = checked(fields.ipv6_network)
    """The guests'."""
    ingress: bool = flag(True)
    """Towards the guests; otherwise from them."""
    opens: bool = flag(True)
    protocol: str = checked(_firewall_protocol)
    first_port: int = within(0, 65535, 0)
    last_port: int = within(0, 65535, 0)
    icmp_type: int = within(-1, 255, -1)
    icmp_code: int = within(-1, 255, -1)
    sources: tuple[str, ...] = each(fields.filter_network)
    destinations: tuple[str, ...] = each(fields.filter_network)

    def __attrs_post_init__(self) -> None:
        """Ports make a range, and what comes in is closed unless a rule opens it."""
        _check_ports(self.first_port, self.last_port)
        if self.ingress and not self.opens:
            raise MalformedInputError("an ingress rule can only open", where="opens")


@frozen(kw_only=True)
class PortForward:
    """Destination NAT of public ports to a guest's ports, port by port; `sources` empty means anybody."""

    address: str = checked(fields.ipv4)
    protocol: str = checked(fields.protocol)
    first_port: int = checked(fields.port)
    last_port: int = checked(fields.port)
    target: str = checked(fields.ipv4)
    target_port: int = checked(fields.port)
    """The guest's port for `first_port`; the ports after it follow."""
    sources: tuple[str, ...] = each(fields.filter_network)

    def __attrs_post_init__(self) -> None:
        """The ranges are of one length and end at 65535 at the latest."""
        if self.first_port > self.last_port:
            raise MalformedInputError(f"{self.first_port}-{self.last_port} is not a port range", where="first_port")
        if self.target_port + self.last_port - self.first_port > 65535:
            raise MalformedInputError("the target range ends after port 65535", where="target_port")


@frozen(kw_only=True)
class StaticNat:
    """One public address for one guest, in both directions."""

    address: str = checked(fields.ipv4)
    target: str = checked(fields.ipv4)


@frozen(kw_only=True)
class StaticRoute:
    """A route to `network` by a next hop in a tier or behind a public device or private gateway."""

    network: str = checked(fields.route_network)
    gateway: str = checked(fields.ipv4)


@frozen(kw_only=True, cache_hash=True)  # as with AclRule
class Reservation:
    """A fixed DHCP lease and DNS name of one guest NIC."""

    address: str = checked(fields.ipv4)
    mac: str = checked(fields.mac)
    host_name: str = checked(fields.host_name)
    is_default: bool = flag(True)
    """The guest's default NIC; otherwise it is offered no router, resolver or domain."""
    lease_seconds: int = within(0, 2**31 - 1, 0)
    """0 means for ever."""
