"""Commands in CloudStack's format: what its management server would write for the same thing. Pure.

`document` gives the object of one command file, None for a command that the server has no file for, or whose fields
this does not say. Reading what was written gives an equal command; what a router makes of a file is the decoder's.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

from vpcrouter import commands
from vpcrouter.values.config import AclRule, FirewallRule, PublicAddress, RouterConfig, Tier
from vpcrouter.values.vpn import SiteVpn


def dumps(command: commands.Command) -> str | None:
    """The file on one line; None if the server would not write one."""
    found = document(command)
    return None if found is None else json.dumps(found, separators=(",", ":"))


def document(command: commands.Command) -> dict[str, Any] | None:
    """The object of the file."""
    match command:
        case commands.ConfigureRouter() if not _has_more(command.config):
            return {"type": "cmdline", "cmd_line": _boot_line(command.config)}
        case commands.ChangePublicAddresses() if not command.remove:
            return {"type": "ips", "ip_address": [_address(each) for each in command.put]}
        case commands.PutTier() if command.tier.mac is not None:
            return {"type": "guestnetwork", "add": True, **_tier(command.tier)}
        case commands.RemoveTier():
            return {"type": "guestnetwork", "add": False, **_former_tier(command)}
        case commands.ReplaceAcl() if not command.acl.private_gateway:
            return _acl(command)
        case commands.PutReservation():
            lease = command.reservation
            if lease.lease_seconds:
                return None
            return {
                "type": "dhcpentry",
                "host_name": lease.host_name,
                "mac_address": lease.mac,
                "ipv4_address": lease.address,
                "default_entry": lease.is_default,
                "default_gateway": lease.address.rpartition(".")[0] + ".1",
                "remove": False,
            }
        case commands.RemoveReservation():
            return {
                "type": "dhcpentry",
                "host_name": "gone",
                "mac_address": command.mac,
                "ipv4_address": command.address,
                "default_entry": True,
                "default_gateway": command.address.rpartition(".")[0] + ".1",
                "remove": True,
            }
        case commands.ChangePortForwards():
            return _port_forwards(command)
        case commands.ChangeStaticNats() if not command.remove:
            return {
                "type": "staticnatrules",
                "rules": [
                    {
                        "revoke": False,
                        "source_ip_address": each.address,
                        "source_port_range": "0:0",
                        "destination_ip_address": each.target,
                    }
                    for each in command.put
                ],
            }
        case commands.ChangeStaticRoutes() if not command.remove:
            return {
                "type": "staticroutes",
                "routes": [
                    {"revoke": False, "network": each.network, "gateway": each.gateway, "ip_address": "203.0.113.10"}
                    for each in command.put
                ],
            }
        case commands.ChangeFirewallRules() if not command.remove:
            return {"type": "firewallrules", "rules": [_firewall_rule(each) for each in command.put]}
        case commands.PutGuestPages():
            items = [["metadata", *each] for each in command.pages.metadata]
            if command.pages.user_data is not None:
                items.append(["userdata", "user-data", command.pages.user_data.reveal()])
            return {"type": "vmdata", "vm_ip_address": command.pages.address, "vm_metadata": items} if items else None
        case commands.PutSiteVpn():
            return _site_vpn(command.vpn)
        case commands.PutRemoteAccess():
            access = command.access
            return {
                "type": "remoteaccessvpn",
                "create": True,
                "vpn_server_ip": access.address,
                "ip_range": f"{access.first_client}-{access.last_client}",
                "local_ip": access.local_address,
                "local_cidr": access.local_network,
                "preshared_key": access.key.reveal(),
                "public_interface": "eth1",
            }
        case commands.PutGuestPassword():
            return {"type": "vmpassword", "ip_address": command.address, "password": command.password.reveal()}
        case commands.ChangeVpnUsers() if not command.remove:
            return {
                "type": "vpnuserlist",
                "vpn_users": [
                    {"user": each.name, "password": each.password.reveal(), "add": True} for each in command.put
                ],
            }
        case commands.ReplaceBgpPeerings(peerings=()):
            return {"type": "bgppeers", "peers": []}
        case _:
            return None


def _has_more(config: RouterConfig) -> bool:
    """Whether it says what is not said here."""
    more = (config.routed, config.uses_external_resolvers, config.uses_only_own_resolver, config.secret_parameters)
    return any(more) or config.password is None


def _boot_line(config: RouterConfig) -> dict[str, str]:
    found = {
        "type": "vpcrouter",
        "name": config.name,
        "vpccidr": config.vpc_network,
        "domain": config.domain,
        "publicMtu": str(config.public_mtu),
        "redundant_router": "1" if config.redundant else "0",
        "redundant_state": "PRIMARY" if config.prefers_master else "BACKUP",
        "source_nat_ip": config.source_nat_address,
        "router_password": None if config.password is None else config.password.reveal(),
    }
    if config.control_address is not None:
        address, _, length = config.control_address.partition("/")
        found |= {"eth0ip": address, "eth0mask": _mask(f"{address}/{length}")}
    found |= {f"dns{number}": each for number, each in enumerate(config.resolvers, 1)}
    return {key: value for key, value in found.items() if value is not None} | dict(config.parameters)


def _address(each: PublicAddress) -> dict[str, Any]:
    found = {
        "public_ip": each.address,
        "source_nat": each.source_nat,
        "add": True,
        "one_to_one_nat": False,
        "first_i_p": False,
        "gateway": each.gateway,
        "netmask": _mask(each.network),
        "vif_mac_address": each.mac,
        "nic_dev_id": int(each.device.removeprefix("eth")),
        "new_nic": False,
        "nw_type": "Public",
        "is_private_gateway": each.private_gateway,
        "mtu": each.mtu,
    }
    return {key: value for key, value in found.items() if value is not None}


def _tier(tier: Tier) -> dict[str, Any]:
    found: dict[str, Any] = {
        "device": tier.device,
        "mac_address": tier.mac,
        "router_guest_ip": tier.address,
        "router_guest_netmask": _mask(tier.network),
        "router_guest_gateway": tier.gateway,
        "cidr": tier.network.partition("/")[2],
        "dns": ",".join(tier.resolvers),
        "domain_name": tier.domain,
        "is_vr_guest_gateway": tier.is_gateway,
        "network_id": tier.network_id,
        "mtu": tier.mtu,
    }
    if (ipv6 := tier.ipv6) is not None:
        found |= {
            "cidr6": ipv6.network.partition("/")[2],
            "dns6": ",".join(ipv6.resolvers),
            "router_guest_ip6": ipv6.address,
            "router_guest_ip6_gateway": ipv6.gateway,
            "router_guest_ip6_cidr": ipv6.network,
            "router_ip6": ipv6.public_address,
            "router_ip6_gateway": ipv6.public_gateway,
            "router_ip6_cidr": ipv6.public_network,
        }
    return {key: value for key, value in found.items() if value not in (None, "")}


def _former_tier(command: commands.RemoveTier) -> dict[str, Any]:
    network = ip_network(command.network)
    return {
        "device": command.device,
        "mac_address": "02:01:00:00:00:01",
        "router_guest_ip": str(network[2]),
        "router_guest_netmask": str(network.netmask),
        "router_guest_gateway": str(network[1]),
        "cidr": str(network.prefixlen),
        "is_vr_guest_gateway": True,
        "network_id": 0,
        "mtu": 1500,
    }


def _acl(command: commands.ReplaceAcl) -> dict[str, Any]:
    acl = command.acl
    own = f"10.1.{acl.device.removeprefix('eth')}.1"
    return {
        "type": "networkacl",
        "device": acl.device,
        "nic_ip": own,
        "nic_netmask": "24",
        "mac_address": "02:01:00:00:00:01",
        "private_gateway_acl": False,
        "ingress_rules": [_rule(each) for each in acl.ingress],
        "egress_rules": [_rule(each) for each in acl.egress],
    }


def _rule(rule: AclRule) -> dict[str, Any]:
    found: dict[str, Any] = {"type": rule.protocol, "cidr": ",".join(rule.networks), "allowed": rule.allowed}
    if rule.protocol in ("tcp", "udp"):
        found |= {"first_port": rule.first_port, "last_port": rule.last_port}
    elif rule.protocol == "icmp":
        found |= {"icmp_type": rule.icmp_type, "icmp_code": rule.icmp_code}
    elif rule.protocol != "all":
        found |= {"type": "protocol", "protocol": int(rule.protocol)}
    return found


def _firewall_rule(rule: FirewallRule) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": rule.rule_id,
        "src_ip": rule.address,
        "protocol": rule.protocol,
        "source_cidr_list": list(rule.sources),
        "purpose": "Firewall",
        "traffic_type": "Ingress",
        "revoked": False,
        "already_added": False,
        "default_egress_policy": False,
    }
    if rule.protocol in ("tcp", "udp"):
        found["src_port_range"] = [rule.first_port, rule.last_port]
    elif rule.protocol == "icmp":
        found |= {"icmp_type": rule.icmp_type, "icmp_code": rule.icmp_code}
    return found


def _site_vpn(vpn: SiteVpn) -> dict[str, Any]:
    return {
        "type": "site2sitevpn",
        "create": True,
        "local_public_ip": vpn.address,
        "local_guest_cidr": vpn.local_network,
        "local_public_gateway": "203.0.113.1",
        "peer_gateway_ip": vpn.peer,
        "peer_guest_cidr_list": ",".join(vpn.remote_networks),
        "ike_policy": ",".join(_policy(each) for each in vpn.ike_proposals),
        "esp_policy": ",".join(_policy(each) for each in vpn.esp_proposals),
        "ike_version": ("ike", "ikev1", "ikev2")[vpn.ike_version],
        "ike_lifetime": vpn.ike_lifetime_s,
        "esp_lifetime": vpn.esp_lifetime_s,
        "ipsec_psk": vpn.key.reveal(),
        "dpd": vpn.detects_dead_peer,
        "passive": vpn.is_passive,
        "encap": vpn.forces_encapsulation,
        "split_connections": vpn.splits,
    }


def _policy(proposal: str) -> str:
    *first, last = proposal.split("-")
    return f"{'-'.join(first)};{last}" if first and last.startswith("modp") else proposal


def _port_forwards(command: commands.ChangePortForwards) -> dict[str, Any]:
    rules = [
        {
            "revoke": each in command.remove,
            "protocol": each.protocol,
            "source_ip_address": each.address,
            "source_port_range": f"{each.first_port}:{each.last_port}",
            "destination_ip_address": each.target,
            "destination_port_range": f"{each.target_port}:{each.target_port + each.last_port - each.first_port}",
            "source_cidr_list": ",".join(each.sources),
        }
        for each in (*command.put, *command.remove)
    ]
    return {"type": "forwardrules", "rules": rules}


def _mask(network: str) -> str:
    return str(ip_network(network, strict=False).netmask)
