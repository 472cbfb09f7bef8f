"""Which tunnels have to stand, and who may stay connected: what is watched every few seconds, beside charon's files."""

from __future__ import annotations

from attrs import evolve

from tests.materialise import vpc
from vpcrouter.materialise import materialise
from vpcrouter.state import State
from vpcrouter.values.config import Secret
from vpcrouter.values.desired import Daemon, SiteTunnel, Tunnels
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings
from vpcrouter.values.vpn import RemoteAccess, SiteVpn, VpnUser

SITE = SiteVpn(
    peer="203.0.113.1",
    address="203.0.113.10",
    local_network="10.1.0.0/16",
    remote_networks=("192.168.7.0/24", "192.168.8.0/24"),
    ike_proposals=("aes256-sha256-modp2048",),
    esp_proposals=("aes256-sha256-modp2048",),
    key=Secret(text="not a real key"),
)
PASSIVE = evolve(SITE, peer="203.0.113.2", remote_networks=("192.168.9.0/24",), is_passive=True, splits=True)
ACCESS = RemoteAccess(
    address="203.0.113.10",
    first_client="10.1.200.1",
    last_client="10.1.200.20",
    local_address="10.1.200.254",
    local_network="10.1.0.0/16",
    key=Secret(text="neither is this"),
)
ANN, BOB = (VpnUser(name=name, password=Secret(text=f"password-of-{name}")) for name in ("ann", "bob"))
BASE = vpc.state(tiers=[vpc.tier(2)], addresses=[vpc.public(10)])


def _with_users(*users: VpnUser) -> State:
    return evolve(BASE, remote_accesses={ACCESS.address: ACCESS}, vpn_users={each.name: each for each in users})


def _daemons(state: State) -> dict[str, Daemon]:
    return {each.name: each for each in materialise(state, Role.MASTER, Settings()).daemons}


def test_each_site_with_its_children_and_who_begins() -> None:
    state = evolve(BASE, site_vpns={each.peer: each for each in (SITE, PASSIVE)})
    found = materialise(state, Role.MASTER, Settings()).tunnels
    assert [(each.peer, each.name, each.initiates) for each in found.sites] == [
        ("203.0.113.1", "site-203-0-113-1", True),
        ("203.0.113.2", "site-203-0-113-2", False),
    ]
    assert all(isinstance(each, SiteTunnel) and each.children for each in found.sites)
    assert (found.access, found.users) == (None, ())
    assert materialise(state, Role.BACKUP, Settings()).tunnels == Tunnels(), "the peer's to begin"


def test_a_user_that_is_gone_may_not_stay_and_is_in_no_file() -> None:
    both, one = _with_users(ANN, BOB), _with_users(ANN)
    assert materialise(both, Role.MASTER, Settings()).tunnels.users == ("ann", "bob")
    assert materialise(one, Role.MASTER, Settings()).tunnels.users == ("ann",)
    for daemon in ("charon-systemd", "xl2tpd"):
        before, after = ("".join(file.content for file in _daemons(state)[daemon].files) for state in (both, one))
        assert "bob" in before
        assert "bob" not in after
        assert "ann" in after
