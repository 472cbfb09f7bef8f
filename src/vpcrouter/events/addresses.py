"""Events about public addresses and private gateways."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values.config import PublicAddress


@frozen(kw_only=True)
class PublicAddressesChanged:
    """Addresses were put (each with all its fields) and others taken away."""

    put: tuple[PublicAddress, ...] = ()
    removed: tuple[str, ...] = ()
