"""A router configured by hand with plain `ip` and `nft`: tests of the laboratory that need no agent."""

from __future__ import annotations

from vpcrouter.appliers import _process
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.machines import inside

PUBLIC = "203.0.113.10"


def configure(laboratory: Laboratory, router: str = "rA") -> None:
    """Make it the gateway of all tiers, with source NAT, and a port forwarding of UDP 7000 to vm2, port 7100."""
    namespace = laboratory.names.namespace(router)
    lines = ["link set eth1 up", f"address add {PUBLIC}/24 dev eth1", "route add default via 203.0.113.1"]
    for tier in range(2, 10):
        lines += [f"link set eth{tier} up", f"address add 10.1.{tier}.1/24 dev eth{tier}"]
    _process.run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(lines).encode())
    _process.run(inside(namespace, ["tee", "/proc/sys/net/ipv4/ip_forward"]), stdin=b"1\n")
    ruleset = f"""
        table ip hand {{
            chain source {{ type nat hook postrouting priority srcnat; oifname eth1 snat to {PUBLIC}; }}
            chain target {{
                type nat hook prerouting priority dstnat
                ip daddr {PUBLIC} udp dport 7000 dnat to 10.1.2.100:7100
            }}
        }}
    """
    _process.run(inside(namespace, ["nft", "-f", "-"]), stdin=ruleset.encode())


def run_in(laboratory: Laboratory, node: str, *words: str) -> str:
    """What a program in a node printed."""
    return _process.run(inside(laboratory.names.namespace(node), list(words))).decode()
