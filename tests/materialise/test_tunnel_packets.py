"""What is behind a tunnel, with real packets and no tunnel: nothing passes in clear, and nothing is translated.

That nothing of it is translated shows in traffic only where the kernel has ESP: in user space the packets leave by a
device that has no source NAT (`tests/lab/test_tunnels.py`). The kernels that this was written on have none, so the
rules that tell what goes through IPsec are taken out for it, and the public device stands in for the tunnel.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from attrs import evolve

from tests.materialise import vpc
from tests.materialise.namespaces import Host, Network, socket_in
from tests.materialise.vpc import OTHER, WEB
from vpcrouter.materialise import materialise
from vpcrouter.values.config import Acl, Secret, StaticNat
from vpcrouter.values.desired import Desired
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings
from vpcrouter.values.vpn import SiteVpn

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FAR, ELSEWHERE = "192.168.7.1", "198.51.100.1"
VPN = SiteVpn(
    peer="203.0.113.1",
    address="203.0.113.10",
    local_network="10.1.0.0/16",
    remote_networks=("192.168.7.0/24",),
    ike_proposals=("aes256-sha256-modp2048",),
    esp_proposals=("aes256-sha256-modp2048",),
    key=Secret(text="not a real key"),
)
STATE = evolve(
    vpc.state(
        tiers=[vpc.tier(2)],
        addresses=[vpc.public(10), vpc.public(12)],
        acls=[Acl(device="eth2", ingress=(vpc.udp(5000, 5010),), egress=())],
        static_nats=[StaticNat(address="203.0.113.12", target=OTHER)],
    ),
    site_vpns={VPN.peer: VPN},
)
ACCESS = vpc.remote_access()


def as_if_by_ipsec(desired: Desired) -> Desired:
    """Everything counts as protected."""
    chains = tuple(
        evolve(
            chain,
            rules=tuple(
                rule.replace("meta ipsec exists ", "")
                for rule in chain.rules
                if not rule.endswith("ipsec missing drop")
            ),
        )
        for chain in desired.ruleset.chains
    )
    changed = {one.name for one, other in zip(chains, desired.ruleset.chains, strict=True) if one != other}
    assert changed == {"input", "entering", "leaving", "silence", "guard"}
    return evolve(desired, ruleset=evolve(desired.ruleset, chains=chains))


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    network = Network(("eth2",), [Host(each, "eth2", "10.1.2.1") for each in (WEB, OTHER)])
    try:
        network.add_address("ext", FAR)
        network.configure(materialise(STATE, Role.MASTER, Settings()))
        network.add_route("ext", "10.1.0.0/16", "203.0.113.10")
        yield network
    finally:
        network.close()


def test_nothing_passes_in_clear(net: Network) -> None:
    assert net.reach(WEB, ELSEWHERE, 5000, "ext", 5000) == "203.0.113.10"
    assert net.reach(WEB, FAR, 5000, "ext", 5000) is None
    assert net.reach("ext", WEB, 5000, WEB, 5000, source=ELSEWHERE) == ELSEWHERE
    assert net.reach("ext", WEB, 5000, WEB, 5000, source=FAR) is None


def test_what_goes_through_ipsec_is_not_translated(net: Network) -> None:
    desired = materialise(STATE, Role.MASTER, Settings())
    net.load(as_if_by_ipsec(desired))
    try:
        assert net.reach(WEB, FAR, 5000, "ext", 5000) == WEB
        assert net.reach(OTHER, FAR, 5000, "ext", 5000) == OTHER, "nor by its static NAT"
        assert net.reach("ext", WEB, 5000, WEB, 5000, source=FAR) == FAR
        assert net.reach("ext", WEB, 5011, WEB, 5011, source=FAR) is None, "the tier's ACL decides"
        assert net.reach(WEB, ELSEWHERE, 5000, "ext", 5000) == "203.0.113.10"
    finally:
        net.load(desired)


def test_l2tp_that_began_inside_ipsec_does_not_go_on_in_clear(net: Network) -> None:
    """The connection table outlives the keys; a client without any got a session by what was left of the one before."""
    desired = materialise(evolve(STATE, remote_accesses={ACCESS.address: ACCESS}), Role.MASTER, Settings())
    try:
        with (
            socket_in(net.name("router"), socket.SOCK_DGRAM, ACCESS.address, 1701, timeout=0.25) as router,
            socket_in(net.name("ext"), socket.SOCK_DGRAM, "203.0.113.1", 1701, timeout=0.25) as client,
        ):
            net.load(as_if_by_ipsec(desired))
            client.sendto(b"with keys", (ACCESS.address, 1701))
            assert router.recvfrom(64)[0] == b"with keys"
            router.sendto(b"answer", ("203.0.113.1", 1701))
            assert client.recvfrom(64)[0] == b"answer"
            net.load(desired)
            client.sendto(b"without", (ACCESS.address, 1701))
            with pytest.raises(TimeoutError):
                router.recvfrom(64)
            with pytest.raises(PermissionError):
                router.sendto(b"answer", ("203.0.113.1", 1701))
    finally:
        net.load(materialise(STATE, Role.MASTER, Settings()))
