"""What an administrator does to a machine by hand, behind the router's back."""

from __future__ import annotations

from ipaddress import ip_interface

from attrs import evolve

from vpcrouter.plan.kernel import RouteEntry
from vpcrouter.simulation.machine import Machine
from vpcrouter.values.desired import InterfaceAddress, Route


def drift(machine: Machine, what: str) -> None:
    """Change something; nothing happens where there is nothing to change."""
    kernel = machine.kernel
    tiers = [each for each in kernel.addresses if each.device not in ("eth0", "eth1") and ":" not in each.address]
    match what:
        case "own-address" if own := [each for each in tiers if not _is_marker(each) and not _is_gateway(each)]:
            kernel.remove_address(own[0])
        case "virtual-address" if virtual := [each for each in tiers if _is_gateway(each)]:
            kernel.remove_address(virtual[0])
        case "stray-address" if kernel.is_up("eth2"):
            kernel.add_address(InterfaceAddress(device="eth2", address="192.0.2.77/24"))
        case "stray-route" if tiers:
            gateway = tiers[0].address.rpartition(".")[0] + ".200"
            route = Route(network="192.0.2.0/25", gateway=gateway, device=tiers[0].device)
            kernel.try_route(RouteEntry(route=route, protocol=3))
        case "connected-route" if own := [each for each in tiers if not _is_marker(each)]:
            kernel.remove_connected(str(ip_interface(own[0].address).network), own[0].device)
        case "rule" if kernel.rules:
            kernel.remove_rule(kernel.rules[0])
        case "link-down" if tiers:
            kernel.set_down(tiers[0].device)
        case "table":
            machine.load_ruleset(None)
        case "stray-file" if paths := [path for path in machine.files.paths() if path.endswith("/keepalived.conf")]:
            machine.files.write(paths[0] + ".old", machine.files.text(paths[0]))
        case "ruleset" if machine.ruleset is not None and machine.ruleset.chains:
            chains = machine.ruleset.chains
            machine.load_ruleset(evolve(machine.ruleset, chains=(evolve(chains[0], rules=()), *chains[1:])))
        case "file" if paths := [path for path in machine.files.paths() if path.endswith(".conf")]:
            machine.files.write(paths[0], machine.files.text(paths[0]) + "# a remark\n")
        case "sysctl" if kernel.sysctls.get("net/ipv4/ip_forward") == "1":
            kernel.sysctls["net/ipv4/ip_forward"] = "0"


def _is_marker(address: InterfaceAddress) -> bool:
    return address.address.startswith("169.254.")


def _is_gateway(address: InterfaceAddress) -> bool:
    return address.address.partition("/")[0].endswith(".1")
