"""Events about tiers and their ACLs."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import checked, each
from vpcrouter.values.config import Acl, Tier


@frozen(kw_only=True)
class TierAdded:
    """A tier came on a device that had none."""

    tier: Tier


@frozen(kw_only=True)
class TierChanged:
    """A tier got other settings; device and network stayed."""

    tier: Tier


@frozen(kw_only=True)
class TierRemoved:
    """A tier went, and with it its ACL and the reservations named here by address."""

    device: str = checked(fields.tier_device)
    network: str = checked(fields.ipv4_network)
    reservations: tuple[str, ...] = each(fields.ipv4)


@frozen(kw_only=True)
class AclReplaced:
    """A device's rules were replaced; with both lists empty it has no ACL any more."""

    acl: Acl
