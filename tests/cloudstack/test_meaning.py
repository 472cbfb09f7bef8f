"""What the lists, markers and texts of the wire format mean, beyond the samples."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cloudstack.documents import ABSENT, changed
from vpcrouter.cloudstack import decode
from vpcrouter.commands import (
    ChangePortForwards,
    ChangePublicAddresses,
    ChangeStaticNats,
    ChangeStaticRoutes,
    ConfigureRouter,
    PutReservation,
    PutTier,
    RemoveReservation,
    RemoveTier,
    ReplaceAcl,
)
from vpcrouter.errors import MalformedInputError
from vpcrouter.values.config import PortForward, PublicAddress, RouterConfig, Secret, Tier
from vpcrouter.values.forwarding import same_forward


def decoded(kind: str, changes: dict[str, Any]) -> Any:
    return decode(json.dumps(changed(kind, changes)))


def config(**words: object) -> RouterConfig:
    command = decoded("cmdline", {f"cmd_line.{key}": value for key, value in words.items()})
    assert isinstance(command, ConfigureRouter)
    return command.config


def public(**changes: object) -> PublicAddress:
    command = decoded("ips", {f"ip_address[0].{key}": value for key, value in changes.items()})
    assert isinstance(command, ChangePublicAddresses)
    return command.put[0]


def tier(**changes: object) -> Tier:
    command = decoded("guestnetwork", changes)
    assert isinstance(command, PutTier)
    return command.tier


# cmdline


@pytest.mark.parametrize(
    ("value", "redundant"),
    [
        *((yes, True) for yes in ("1", "true", "yes", "True", True)),
        *((no, False) for no in ("0", "false", "no", False, "null", "", None, ABSENT)),
    ],
)
def test_redundant_router_is_what_it_says_and_not_that_it_is_there(value: object, redundant: bool) -> None:
    assert config(redundant_router=value).redundant is redundant


@pytest.mark.parametrize(
    ("value", "prefers"), [("PRIMARY", True), ("BACKUP", False), ("FAULT", False), ("null", False), (ABSENT, False)]
)
def test_redundant_state_is_a_preference(value: object, prefers: bool) -> None:
    assert config(redundant_state=value).prefers_master is prefers


@pytest.mark.parametrize("nothing", ["", "null", None, ABSENT])
def test_nothing_in_a_value_is_as_if_the_key_were_absent(nothing: object) -> None:
    keys = (
        *("domain", "publicMtu", "dns1", "ip6dns1", "is_routed", "vmpassword", "authorized_key", "eth0ip", "eth0mask"),
        *("redundant_router", "router_password", "has_public_network", "type", "useextdns", "source_nat_ip"),
    )
    found = config(**dict.fromkeys(keys, nothing), userouteripresolver=nothing, redundant_state=nothing)
    assert found == RouterConfig(
        name="r-21-VM", vpc_network="10.1.0.0/16", parameters=(("logrotatefrequency", "*:00:00"),)
    )


def test_resolvers_in_their_order_and_once() -> None:
    assert config(dns1="192.0.2.2", dns2="192.0.2.1", ip6dns2="2001:DB8:0::53").resolvers == (
        "192.0.2.2",
        "192.0.2.1",
        "2001:db8::53",
    )


def test_every_key_of_the_boot_line_is_known_and_secrets_are_kept_as_such() -> None:
    found = config(
        dns2="192.0.2.1",
        ip6dns2="2001:db8::54",
        template="domP",
        eth0ip6="fe80::1",
        eth0ip6prelen="64",
        gateway="192.0.2.1",
        ip6gateway="fe80::2",
        advert_int="1",
        router_id="7",
        mgmtcidr="192.0.2.0/24",
        localgw="192.0.2.1",
        vpc_firewall_enabled="false",
        disable_rp_filter="true",
        dnssearchorder="a,b",
        extra_pubnics="1",
        exposedns="true",
        baremetalnotificationsecuritykey="Example-2",
        baremetalnotificationapikey="Example-3",
        host="192.0.2.9",
        port="8080",
        userdata="H4sIAAA=",
        nic_macs="02:00:00:00:00:01|02:00:00:00:00:02",
        redundant_primary=True,
        redundant_router=True,
    )
    assert [key for key, _ in found.parameters] == sorted(key for key, _ in found.parameters)
    assert dict(found.parameters) == {
        "advert_int": "1",
        "authorized_key": "c3No",
        "disable_rp_filter": "true",
        "dnssearchorder": "a,b",
        "eth0ip6": "fe80::1",
        "eth0ip6prelen": "64",
        "exposedns": "true",
        "extra_pubnics": "1",
        "gateway": "192.0.2.1",
        "has_public_network": "true",
        "host": "192.0.2.9",
        "ip6gateway": "fe80::2",
        "localgw": "192.0.2.1",
        "logrotatefrequency": "*:00:00",
        "mgmtcidr": "192.0.2.0/24",
        "nic_macs": "02:00:00:00:00:01|02:00:00:00:00:02",
        "port": "8080",
        "router_id": "7",
        "template": "domP",
        "vpc_firewall_enabled": "false",
    }
    assert found.secret_parameters == (
        ("baremetalnotificationapikey", Secret(text="Example-3")),
        ("baremetalnotificationsecuritykey", Secret(text="Example-2")),
        ("userdata", Secret(text="H4sIAAA=")),
        ("vmpassword", Secret(text="Example-1")),
    )
    assert found.password == Secret(text="1029")
    assert found.uses_external_resolvers
    assert not found.uses_only_own_resolver


def test_a_key_that_the_boot_script_wrote_twice_has_its_last_value() -> None:
    data = '{"type":"cmdline","cmd_line":{"name":"a","vpccidr":"10.1.0.0/16","name":"b"}}'
    assert decode(data) == ConfigureRouter(config=RouterConfig(name="b", vpc_network="10.1.0.0/16"))


@pytest.mark.parametrize("key", ["router_password", "vmpassword", "userdata", "baremetalnotificationapikey"])
@pytest.mark.parametrize("value", ["pass word", "pässword", "secret\n", 123456789, True])
def test_an_error_does_not_show_a_secret(key: str, value: object) -> None:
    with pytest.raises(Exception, match="one word of printable") as caught:
        config(**{key: value})
    assert str(value) not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


# ips


def test_a_public_address_without_a_device_number_is_on_eth1() -> None:
    assert public(nic_dev_id=ABSENT).device == "eth1"
    assert public(nic_dev_id=None).device == "eth1"
    assert public(nic_dev_id=3).device == "eth3"


def test_what_may_be_left_out() -> None:
    keys = ("vif_mac_address", "mtu", "one_to_one_nat", "first_i_p", "new_nic")
    found = public(**dict.fromkeys(keys, ABSENT), nw_type="public")
    assert (found.mac, found.mtu) == (None, 0)


def test_an_address_alone_in_its_network() -> None:
    assert public(netmask="255.255.255.128").network == "203.0.113.0/25"


def test_the_mark_is_taken_as_it_comes() -> None:
    assert public(source_nat=True).source_nat
    assert not public(source_nat=False).source_nat


def test_an_address_of_a_private_gateway_can_be_removed_without_its_device() -> None:
    changes = {"add": False, "is_private_gateway": True, "nic_dev_id": ABSENT}
    command = decoded("ips", {f"ip_address[0].{key}": value for key, value in changes.items()})
    assert command == ChangePublicAddresses(remove=("203.0.113.10",))


# Lists: entries apply in their order, so of two about the same thing the later wins


def rules(kind: str, key: str, *entries: dict[str, Any]) -> Any:
    sample = changed(kind, {})[key][0]
    return decoded(kind, {key: [{**sample, **entry} for entry in entries]})


def test_an_empty_list_changes_nothing() -> None:
    assert rules("ips", "ip_address") == ChangePublicAddresses()
    assert rules("forwardrules", "rules") == ChangePortForwards()
    assert rules("staticnatrules", "rules") == ChangeStaticNats()
    assert rules("staticroutes", "routes") == ChangeStaticRoutes()


def test_an_address_twice() -> None:
    assert rules("ips", "ip_address", {"add": True}, {"add": False}).remove == ("203.0.113.10",)
    both = rules("ips", "ip_address", {"add": False}, {"mtu": 1400})
    assert [each.mtu for each in both.put] == [1400]
    assert both.remove == ()


def test_a_route_whose_next_hop_changed_in_one_list() -> None:
    command = rules("staticroutes", "routes", {"revoke": True}, {"gateway": "198.51.100.3"})
    assert [each.gateway for each in command.put] == ["198.51.100.3"]
    assert command.remove == ()
    command = rules("staticroutes", "routes", {}, {"gateway": "198.51.100.3", "revoke": True})
    assert command == ChangeStaticRoutes(remove=("198.51.100.128/26",))


def test_a_static_nat_whose_guest_changed_in_one_list() -> None:
    command = rules("staticnatrules", "rules", {}, {"destination_ip_address": "10.1.4.12"})
    assert [each.target for each in command.put] == ["10.1.4.12"]
    assert rules("staticnatrules", "rules", {}, {"revoke": True}) == ChangeStaticNats(remove=("203.0.113.13",))


def forward(target: str = "10.1.2.11", *sources: str) -> PortForward:
    return PortForward(
        address="203.0.113.11",
        protocol="tcp",
        first_port=8000,
        last_port=8009,
        target=target,
        target_port=9000,
        sources=sources,
    )


def test_a_forwarding_whose_guest_changed_in_one_list() -> None:
    command = rules(
        "forwardrules",
        "rules",
        {"revoke": True, "source_cidr_list": ""},
        {"destination_ip_address": "10.1.2.12", "source_cidr_list": ""},
    )
    assert command == ChangePortForwards(put=(forward("10.1.2.12"),), remove=(forward("10.1.2.11"),))


def test_a_forwarding_that_is_put_and_then_revoked() -> None:
    command = rules("forwardrules", "rules", {}, {"revoke": True})
    assert command == ChangePortForwards(remove=(forward("10.1.2.11", "198.51.100.0/24"),))


def test_what_a_forwarding_replaced_before_it_went_stays_replaced() -> None:
    """The first entry replaces a stored rule for 192.0.2.0/24; the second takes the first away, but would not that."""
    wide, narrow = "198.51.100.0/24,192.0.2.0/24", "198.51.100.0/24"
    command = rules("forwardrules", "rules", {"source_cidr_list": wide}, {"source_cidr_list": narrow, "revoke": True})
    assert command == ChangePortForwards(
        remove=(forward("10.1.2.11", "198.51.100.0/24", "192.0.2.0/24"), forward("10.1.2.11", narrow))
    )


def test_forwardings_for_other_clients_or_ports_stand_beside_each_other() -> None:
    command = rules(
        "forwardrules",
        "rules",
        {"source_cidr_list": "198.51.100.0/24"},
        {"source_cidr_list": "192.0.2.0/24"},
        {"source_port_range": "8000:8008", "destination_port_range": "9000:9008"},
        {"protocol": "UDP"},
    )
    assert len(command.put) == 4
    assert command.remove == ()


entries = st.fixed_dictionaries(
    {
        "revoke": st.booleans(),
        "protocol": st.sampled_from(["tcp", "tcp", "tcp", "udp"]),
        "source_port_range": st.sampled_from(["80:80", "80:80", "80:81"]),
        "source_cidr_list": st.sampled_from(
            ["", "192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25", "198.51.100.0/24", "192.0.2.0/25,198.51.100.0/24"]
        ),
        "destination_ip_address": st.sampled_from(["10.1.2.11", "10.1.2.12"]),
    }
)


@given(st.lists(entries, max_size=4), st.lists(entries, max_size=5))
def test_a_list_is_the_same_as_its_entries_one_by_one(before: list[dict[str, Any]], then: list[dict[str, Any]]) -> None:
    def command(*those: dict[str, Any]) -> ChangePortForwards:
        full = [{**each, "destination_port_range": each["source_port_range"]} for each in those]
        found = rules("forwardrules", "rules", *full)
        assert isinstance(found, ChangePortForwards)
        return found

    stored: frozenset[PortForward] = frozenset()
    for each in before:
        stored = carried_out(stored, command(each))
    one_by_one = stored
    for each in then:
        one_by_one = carried_out(one_by_one, command(each))
    assert carried_out(stored, command(*then)) == one_by_one


def carried_out(stored: frozenset[PortForward], command: ChangePortForwards) -> frozenset[PortForward]:
    """What `decide` makes of it: first away, then there, each in place of all that it meets."""
    for gone in command.remove:
        stored = frozenset(each for each in stored if not same_forward(each, gone))
    for new in command.put:
        stored = frozenset(each for each in stored if not same_forward(each, new)) | {new}
    return stored


@pytest.mark.parametrize("nothing", ["", " ", None, ABSENT])
def test_a_forwarding_for_everybody(nothing: object) -> None:
    (found,) = decoded("forwardrules", {"rules[0].source_cidr_list": nothing}).put
    assert found.sources == ()


# Lists within a text


def test_networks_in_one_text_both_families_blanks_and_repeats() -> None:
    text = " 10.1.2.3/24 ,::/0,0.0.0.0/0 , 10.1.2.0/24,192.0.2.7,2001:DB8::1"
    command = decoded("networkacl", {"ingress_rules[0].cidr": text})
    assert isinstance(command, ReplaceAcl)
    assert command.acl.ingress[0].networks == (
        "10.1.2.0/24",
        "::/0",
        "0.0.0.0/0",
        "192.0.2.7/32",
        "2001:db8::1/128",
    )


def test_tcp_without_ports() -> None:
    command = decoded("networkacl", {"ingress_rules[0].first_port": 0, "ingress_rules[0].last_port": 0})
    assert (command.acl.ingress[0].first_port, command.acl.ingress[0].last_port) == (0, 0)


def test_a_rule_known_by_its_values_is_still_read_by_their_types() -> None:
    """1, 1.0 and true are equal in Python; a rule that came before must not let them through."""
    first = {"ingress_rules[0].first_port": 1, "ingress_rules[0].last_port": 1}
    known = decoded("networkacl", first)
    assert decoded("networkacl", first).acl.ingress[0] is known.acl.ingress[0]
    for wrong in (True, 1.0):
        with pytest.raises(Exception, match=r"^ingress_rules\[0\].last_port: "):
            decoded("networkacl", {**first, "ingress_rules[0].last_port": wrong})


# guestnetwork, dhcpentry, staticnatrules


def test_the_least_that_a_tier_needs() -> None:
    optional = ("cidr", "cidr6", "dns", "dns6", "domain_name", "is_vr_guest_gateway", "network_id")
    ipv6 = ("router_guest_ip6", "router_guest_ip6_gateway", "router_guest_ip6_cidr")
    public6 = ("router_ip6", "router_ip6_gateway", "router_ip6_cidr", "delete_from_processed_cache")
    assert tier(**dict.fromkeys((*optional, *ipv6, *public6), ABSENT)) == Tier(
        device="eth2", network="10.1.2.0/24", gateway="10.1.2.1", address="10.1.2.2", mac="02:01:00:02:00:0a"
    )


def test_the_network_is_that_of_gateway_and_netmask() -> None:
    changes = {"router_guest_netmask": "255.255.255.192", "cidr": "26"}
    assert tier(**changes, router_guest_gateway="10.1.2.65", router_guest_ip="10.1.2.66").network == "10.1.2.64/26"


def test_canonical_forms() -> None:
    found = tier(mac_address="02:01:00:02:00:0A", domain_name="VPC1.Example.COM", dns=" 192.0.2.1 , 192.0.2.2")
    assert (found.mac, found.domain, found.resolvers) == (
        "02:01:00:02:00:0a",
        "vpc1.example.com",
        ("192.0.2.1", "192.0.2.2"),
    )


def test_small_mtu_and_empty_texts() -> None:
    found = tier(mtu=1280, dns="", domain_name="")
    assert (found.mtu, found.resolvers, found.domain) == (1280, (), None)


def test_an_mtu_that_is_too_small_for_ipv6() -> None:
    with pytest.raises(MalformedInputError, match=r"^mtu: IPv6 needs an MTU of 1280 at least"):
        tier(mtu=1279)


def test_a_removal_of_a_tier_names_device_and_network() -> None:
    assert decoded("guestnetwork", {"add": False}) == RemoveTier(device="eth2", network="10.1.2.0/24")


@pytest.mark.parametrize("lease", [0, None, ABSENT])
def test_a_lease_for_ever(lease: object) -> None:
    command = decoded("dhcpentry", {"lease_time": lease})
    assert isinstance(command, PutReservation)
    assert command.reservation.lease_seconds == 0


def test_a_removal_of_a_lease_names_address_and_mac() -> None:
    expected = RemoveReservation(address="10.1.2.11", mac="02:02:00:02:00:0b")
    assert decoded("dhcpentry", {"remove": True, "mac_address": "02:02:00:02:00:0B"}) == expected


@pytest.mark.parametrize("protocol", ["all", "any", "", None, ABSENT])
def test_a_static_nat_for_all_protocols(protocol: object) -> None:
    changes = {"rules[0].protocol": protocol, "rules[0].source_port_range": ABSENT}
    if protocol is ABSENT:
        del changes["rules[0].protocol"]
    assert len(decoded("staticnatrules", changes).put) == 1
