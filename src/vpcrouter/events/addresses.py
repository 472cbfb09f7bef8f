"""Events about public addresses and private gateways."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import each, many
from vpcrouter.values.config import PublicAddress


@frozen(kw_only=True)
class PublicAddressesChanged:
    """Addresses were put (each with all its fields) and others taken away."""

    put: tuple[PublicAddress, ...] = many(PublicAddress)
    removed: tuple[str, ...] = each(fields.ipv4)
