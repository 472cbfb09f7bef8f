"""How keepalived proves to its peer that an advertisement is of the pair: AH, or the HMAC of keepalived 2.4. Pure.

Used by `election`; keepalived.conf and the ruleset follow it. The secret is derived from the router password, which
both routers have: without one there is nothing that guests do not know, and no authentication. Who proves nothing is
not heard by who demands it, so both routers need the same.

AH (RFC 2338, 5.3.6) is of VRRPv2 alone, and was taken out of it (RFC 3768): keepalived's has an eight-character
secret and HMAC-MD5, and drops what it has seen already. The HMAC (`auth_hmac` in keepalived.conf(5) of 2.4) is SHA-256
over the advertisement and a number that only grows; `monotonic`, since by `time` two clocks that differ would make two
masters.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from attrs import field, frozen

from vpcrouter.values.config import RouterConfig
from vpcrouter.values.settings import AH, HMAC, NO_AUTHENTICATION, Settings

_AH_CHARACTERS = 8
"""keepalived takes no more."""
VRRP_PROTOCOL, AH_PROTOCOL = 112, 51


@frozen(kw_only=True)
class Authentication:
    """One kind with its secret."""

    kind: str
    secret: str = field(repr=False)

    @property
    def version(self) -> int:
        """Of VRRP."""
        return 2 if self.kind == AH else 3


def authentication(config: RouterConfig, settings: Settings) -> Authentication | None:
    """What keepalived is to prove itself by; None: by nothing."""
    kind = settings.vrrp_authentication
    if kind == NO_AUTHENTICATION or config.password is None:
        return None
    said = f"vpcrouter vrrp {kind}\0{config.vpc_network}".encode()
    key = hmac.digest(hashlib.sha256(config.password.reveal().encode()).digest(), said, "sha256")
    secret = key.hex() if kind == HMAC else base64.b32encode(key).decode()[:_AH_CHARACTERS]
    return Authentication(kind=kind, secret=secret)


def settings_without_effect(settings: Settings, config: RouterConfig | None) -> dict[str, str]:
    """Settings that change nothing on this machine with this configuration, and why."""
    found = dict(settings.without_effect)
    kind = settings.vrrp_authentication
    if kind != NO_AUTHENTICATION and config is not None and config.password is None:
        found[f"vrrp_authentication={kind}"] = "the router has no password, which the secret would come from"
    return found


def protocol(found: Authentication | None) -> int:
    """The IP protocol that advertisements go by."""
    return AH_PROTOCOL if found is not None and found.kind == AH else VRRP_PROTOCOL
