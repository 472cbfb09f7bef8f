"""State → the files of xl2tpd and of the pppd that it starts for each client: L2TP inside IPsec (RFC 3193). Pure.

It runs on the router that serves, as charon does. pppd checks passwords with MS-CHAPv2 (and nothing weaker), and gives
each client an address of the lower half of the pool; the upper half is for clients by IKEv2. The file of passwords lies
where pppd 2.4.9 looks for it and nowhere else.
"""

from __future__ import annotations

from attrs import frozen

from vpcrouter.materialise.ipsec import l2tp_pool
from vpcrouter.materialise.rendering import Literal, quoted, render
from vpcrouter.projections.effective import Effective
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.settings import Settings
from vpcrouter.values.vpn import RemoteAccess

PPP_MTU = 1280
"""Bytes: 1500 less what L2TP, UDP, ESP and PPP put around a packet, and never below what every network carries."""


@frozen(kw_only=True)
class PppLogin:
    """A line of chap-secrets."""

    name: Literal
    password: Literal


def xl2tpd(effective: Effective, access: RemoteAccess, settings: Settings) -> Daemon:
    """The daemon."""
    first, last = l2tp_pool(access.first_client, access.last_client)

    def file(name: str, **values: object) -> File:
        content = render(f"{name}.j2", settings=settings, access=access, **values)
        return File(path=str(settings.config_dir / name), content=content)

    logins = [PppLogin(name=quoted(user.name), password=quoted(user.password.reveal())) for user in effective.vpn_users]
    return Daemon(
        name="xl2tpd",
        restart_files=(
            file("xl2tpd.conf", pool=f"{first}-{last}"),
            file(
                "xl2tpd.ppp-options",
                mtu=PPP_MTU,
                resolver=next((tier.gateway for tier in effective.tiers if tier.is_gateway), None),
            ),
        ),
        # pppd reads it anew for each client; nobody has to be told.
        reload_files=(
            File(
                path=str(settings.chap_secrets),
                content=render("chap-secrets.j2", logins=logins),
                mode=0o600,
            ),
        ),
    )
