"""What is asked for in the settings and what this machine can do: looked up in the installed programs, never assumed.

Called by whoever settles a machine, once at its start. A setting that cannot be followed is left out, said in the log,
and named with the reason under `without_effect` in `status` and by `boot`.
"""

from __future__ import annotations

import logging

from attrs import evolve

from vpcrouter.appliers import _kernel_features
from vpcrouter.appliers.keepalived import understands
from vpcrouter.errors import HostError
from vpcrouter.values.settings import AH, HMAC, NO_AUTHENTICATION, Settings

LOG = logging.getLogger("vpcrouter")

_PROBES = {
    AH: "    version 2\n    authentication {\n        auth_type AH\n        auth_pass probe\n    }\n",
    HMAC: f"    auth_hmac {{\n        key 1 hex:{'5a' * 32}\n        active_key 1\n"
    "        anti_replay monotonic\n    }\n",
}


def feasible(settings: Settings) -> Settings:
    """The settings without what cannot be done here."""
    return _with_what_synchronises(_with_what_proves(settings))


def _with_what_synchronises(settings: Settings) -> Settings:
    reason = _kernel_features.lacks_vxlan() if settings.unicast_peers else None
    if reason is None:
        return settings
    LOG.warning("connections are not synchronised, no backup is ever ready: %s", reason)
    without_effect = (*settings.without_effect, ("synchronising connections by unicast", reason))
    return evolve(settings, has_vxlan=False, without_effect=without_effect)


def _with_what_proves(settings: Settings) -> Settings:
    kind = settings.vrrp_authentication
    if kind == NO_AUTHENTICATION:
        return settings
    try:
        if understands(_PROBES[kind]):
            return settings
        reason = f"the installed keepalived refuses it{' (HMAC came with 2.4.0)' if kind == HMAC else ''}"
    except HostError as error:
        reason = str(error)
    LOG.warning("--vrrp-authentication %s has no effect: %s", kind, reason)
    without_effect = (*settings.without_effect, (f"vrrp_authentication={kind}", reason))
    return evolve(settings, vrrp_authentication=NO_AUTHENTICATION, without_effect=without_effect)
