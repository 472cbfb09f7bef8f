"""State → the files of charon, strongSwan's IKE daemon: its settings, connections and secrets. Pure.

It runs on the router that serves, and there alone: both ends of a tunnel are known by the public address, and that is
on one router at a time. A tunnel that this end may begin is begun as soon as the connection is loaded, again when the
peer has died, and for ever until it stands; the new one says that it is the first (INITIAL_CONTACT), so the peer drops
what it had with the router that failed.

There are two sets of settings, for a kernel with ESP and for one without, where charon does ESP itself behind a tun
device; which one is used is found out where it is started. Keys and passwords are written in hexadecimal, so nothing
that they hold can end a line or a quotation.

Known hole: a client by IKEv2 is told nothing of the router's certificate, since the command names none: both sides of
the key exchange prove themselves with the pre-shared key and the password (EAP-MSCHAPv2). strongSwan's clients do that,
those of some phones do not.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from attrs import frozen

from vpcrouter.materialise.rendering import Literal, quoted, render
from vpcrouter.materialise.tunnels import ACCESS, child_names, site_name
from vpcrouter.projections.effective import Effective
from vpcrouter.values.config import Secret
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.settings import Settings
from vpcrouter.values.vpn import SiteVpn

DPD_DELAY_S = 30
DPD_TIMEOUT_S = 120
"""Of IKEv1 alone; IKEv2 gives up when its retransmissions do."""
L2TP = "remote-l2tp"


@frozen(kw_only=True)
class Child:
    """One tunnel."""

    name: str
    remote_networks: tuple[str, ...]
    life_s: int
    rekey_s: int


@frozen(kw_only=True)
class Connection:
    """All tunnels to one site."""

    name: str
    vpn: SiteVpn
    secret: str
    rekey_s: int
    over_s: int
    children: tuple[Child, ...]


@frozen(kw_only=True)
class Login:
    """What a client proves itself with."""

    name: Literal
    secret: str


def charon(effective: Effective, settings: Settings) -> Daemon:
    """The daemon."""
    access = effective.remote_access

    def settings_file(name: str, *, user_space: bool) -> File:
        content = render("charon.conf.j2", settings=settings, user_space=user_space)
        return File(path=str(settings.config_dir / name), content=content)

    connections = render(
        "swanctl.conf.j2",
        connections=[_connection(vpn) for vpn in effective.site_vpns],
        access=access,
        access_name=ACCESS,
        l2tp_name=L2TP,
        access_secret=None if access is None else _hexadecimal(access.key),
        pool=None if access is None else "-".join(ikev2_pool(access.first_client, access.last_client)),
        resolver=next((tier.gateway for tier in effective.tiers if tier.is_gateway), None),
        logins=[
            Login(name=quoted(user.name), secret=_hexadecimal(user.password))
            for user in effective.vpn_users
            if access is not None
        ],
        dpd_delay_s=DPD_DELAY_S,
        dpd_timeout_s=DPD_TIMEOUT_S,
    )
    return Daemon(
        name="charon-systemd",
        restart_files=(
            settings_file("charon-systemd.kernel.conf", user_space=False),
            settings_file("charon-systemd.user-space.conf", user_space=True),
        ),
        reload_files=(File(path=str(settings.config_dir / "charon-systemd.swanctl"), content=connections, mode=0o600),),
    )


def ikev2_pool(first: str, last: str) -> tuple[str, str]:
    """The upper half of the clients' addresses; the lower one is for L2TP, which has its own idea of who has which."""
    low, high = int(IPv4Address(first)), int(IPv4Address(last))
    return str(IPv4Address(min(high, low + (high - low) // 2 + 1))), last


def l2tp_pool(first: str, last: str) -> tuple[str, str]:
    """The lower half of the clients' addresses."""
    low, high = int(IPv4Address(first)), int(IPv4Address(last))
    return first, str(IPv4Address(low + (high - low) // 2))


def _connection(vpn: SiteVpn) -> Connection:
    rekey_s = vpn.ike_lifetime_s * 9 // 10
    return Connection(
        name=site_name(vpn),
        vpn=vpn,
        secret=_hexadecimal(vpn.key),
        rekey_s=rekey_s,
        over_s=vpn.ike_lifetime_s - rekey_s,
        children=tuple(
            Child(
                name=name,
                remote_networks=remote,
                life_s=vpn.esp_lifetime_s,
                rekey_s=vpn.esp_lifetime_s * 9 // 10,
            )
            for name, remote in child_names(vpn)
        ),
    )


def _hexadecimal(secret: Secret) -> str:
    """As swanctl.conf(5) takes it."""
    return "0x" + secret.reveal().encode().hex()
