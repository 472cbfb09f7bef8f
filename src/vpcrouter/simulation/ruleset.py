"""What a loaded ruleset does with the first packet of a guest to the outside: as far as it is asked, and no further.

The two hooks of forwarding drop what no map of theirs leads on. A chain that a map leads to has to be there and to say
something; what its rules say is not interpreted, and neither is what an address is translated to.
"""

from __future__ import annotations

from vpcrouter.values.desired import Ruleset

_HOOKS = (("entering", "iifname vmap @entering"), ("leaving", "oifname vmap @leaving"))


def lets_out(ruleset: Ruleset, device: str, way: str) -> bool:
    """Whether what enters by `device` may leave by `way`."""
    chains = {each.name: each.rules for each in ruleset.chains}
    maps = {each.name: dict(each.elements) for each in ruleset.sets if each.kind == "map"}
    for (hook, rule), ifname in zip(_HOOKS, (device, way), strict=True):
        verdict = maps.get(hook, {}).get(f'"{ifname}"', "drop")
        leads_on = verdict == "accept" or bool(chains.get(verdict.removeprefix("jump ")))
        if rule not in chains.get(hook, ()) or not leads_on:
            return False
    return True
