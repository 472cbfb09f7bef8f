"""Events about the router itself."""

from __future__ import annotations

from attrs import frozen

from vpcrouter.values import fields
from vpcrouter.values.checks import checked
from vpcrouter.values.config import RouterConfig
from vpcrouter.values.role import Role


@frozen(kw_only=True)
class RouterConfigured:
    """The boot parameters were replaced."""

    config: RouterConfig


@frozen(kw_only=True)
class RoleChanged:
    """An observation for the audit trail: replay never restores a role from it."""

    role: Role
    previous: Role
    reason: str = checked(fields.text)
