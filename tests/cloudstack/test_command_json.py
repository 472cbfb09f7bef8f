"""Our own JSON form: reading what was written gives an equal command, and anything else is refused by its path."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given

from tests.cloudstack.documents import DOCUMENTS
from tests.strategies import any_command
from vpcrouter import command_json
from vpcrouter.cloudstack import decode
from vpcrouter.commands import Command, ReplaceAcl
from vpcrouter.errors import CallerError, MalformedInputError, UnsupportedTypeError
from vpcrouter.values.config import Acl, Secret

TIER = {"device": "eth2", "network": "10.1.2.0/24", "gateway": "10.1.2.1", "address": "10.1.2.2"}
RULE = {"protocol": "tcp", "networks": ["::/0"]}


@given(any_command)
@example(ReplaceAcl(acl=Acl(device="eth2")))
def test_round_trip(command: Command) -> None:
    line = command_json.dumps(command)
    assert "\n" not in line
    assert command_json.loads(line) == command
    assert command_json.load(command_json.dump(command)) == command


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_round_trip_of_everything_that_a_field_can_hold(kind: str) -> None:
    command = decode(json.dumps(DOCUMENTS[kind]))
    assert command_json.loads(command_json.dumps(command)) == command


def test_the_names_are_a_promise() -> None:
    assert list(command_json.NAMES) == [
        "configure-router",
        "change-public-addresses",
        "put-tier",
        "remove-tier",
        "replace-acl",
        "change-port-forwards",
        "change-static-nats",
        "change-static-routes",
        "put-reservation",
        "remove-reservation",
        "change-firewall-rules",
        "change-ipv6-firewall-rules",
        "change-monitoring",
        "replace-balancer",
        "put-guest-pages",
        "remove-guest-pages",
        "put-guest-password",
        "confirm-guest-password",
        "remove-guest-password",
        "put-site-vpn",
        "remove-site-vpn",
        "put-remote-access",
        "remove-remote-access",
        "change-vpn-users",
        "replace-bgp-peerings",
    ]


def test_the_form_is_a_promise() -> None:
    assert command_json.dump(decode(json.dumps(DOCUMENTS["guestnetwork"]))) == {
        "command": "put-tier",
        "tier": {
            "device": "eth2",
            "network": "10.1.2.0/24",
            "gateway": "10.1.2.1",
            "address": "10.1.2.2",
            "mac": "02:01:00:02:00:0a",
            "domain": "vpc1.example.com",
            "resolvers": ["203.0.113.53", "198.51.100.53"],
            "network_id": 202,
            "ipv6": {
                "network": "2001:db8:1:2::/64",
                "gateway": "2001:db8:1:2::1",
                "address": "2001:db8:1:2::2",
                "resolvers": ["2001:db8::53"],
                "public_network": "2001:db8:0:1::/64",
                "public_gateway": "2001:db8:0:1::1",
                "public_address": "2001:db8:0:1::10",
            },
        },
    }


def test_secrets_are_plain_text_here() -> None:
    written = command_json.dump(decode(json.dumps(DOCUMENTS["cmdline"])))
    assert written["config"]["password"] == "1029"
    assert written["config"]["secret_parameters"] == [["vmpassword", "Example-1"]]
    read = command_json.load(written)
    assert read.config.password == Secret(text="1029")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        ([], "", "a list stands where an object belongs"),
        ({}, "command", "is missing"),
        ({"command": 1}, "command", "a number stands where a string belongs"),
        ({"command": "put-tier"}, "tier", "is missing"),
        ({"command": "put-tier", "tier": TIER, "x": 1}, "x", "not a known key"),
        ({"command": "put-tier", "tier": TIER, "a b": 1}, "['a b']", "not a known key"),
        ({"command": "put-tier", "tier": {**TIER, "x": 1}}, "tier.x", "not a known key"),
        ({"command": "put-tier", "tier": []}, "tier", "a list stands where an object belongs"),
        ({"command": "put-tier", "tier": None}, "tier", "null stands where an object belongs"),
        ({"command": "put-tier", "tier": {**TIER, "device": "eth1"}}, "tier.device", "eth2 or higher"),
        ({"command": "put-tier", "tier": {**TIER, "address": "10.1.3.2"}}, "tier.address", "not a host address"),
        ({"command": "put-tier", "tier": {**TIER, "mtu": "1500"}}, "tier.mtu", "a string stands"),
        ({"command": "put-tier", "tier": {**TIER, "mtu": True}}, "tier.mtu", "true or false stands"),
        ({"command": "put-tier", "tier": {**TIER, "mtu": 1500.0}}, "tier.mtu", "a number stands"),
        ({"command": "put-tier", "tier": {**TIER, "is_gateway": 1}}, "tier.is_gateway", "a number stands"),
        ({"command": "put-tier", "tier": {**TIER, "device": 2}}, "tier.device", "a number stands"),
        ({"command": "put-tier", "tier": {**TIER, "resolvers": "10.1.1.1"}}, "tier.resolvers", "a string stands"),
        ({"command": "put-tier", "tier": {**TIER, "resolvers": ["10.1.1.1", 5]}}, "tier.resolvers[1]", "a number"),
        ({"command": "put-tier", "tier": {**TIER, "resolvers": ["10.1.1.1", "x"]}}, "tier.resolvers[1]", "IPv4"),
        ({"command": "put-tier", "tier": {**TIER, "mac": "02:00:00:00:00:0A"}}, "tier.mac", "canonical"),
        ({"command": "put-tier", "tier": {**TIER, "ipv6": {"network": "::/0"}}}, "tier.ipv6.gateway", "is missing"),
        ({"command": "replace-acl", "acl": {}}, "acl.device", "is missing"),
        (
            {"command": "replace-acl", "acl": {"device": "eth2", "ingress": [RULE, {**RULE, "networks": ["x"]}]}},
            "acl.ingress[1].networks[0]",
            "a network like",
        ),
        (
            {"command": "replace-acl", "acl": {"device": "eth2", "egress": [{**RULE, "last_port": 80}]}},
            "acl.egress[0].first_port",
            "not a port range",
        ),
        ({"command": "change-static-nats", "remove": [["a"]]}, "remove[0]", "a list stands"),
        ({"command": "change-static-nats", "put": {"a": 1}}, "put", "an object stands"),
        (
            {"command": "configure-router", "config": {"name": "a", "parameters": [["a", "b", "c"]]}},
            "config.vpc_network",
            "is missing",
        ),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_refused_with_its_path(document: Any, where: str, what: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        command_json.loads(json.dumps(document))
    assert caught.value.where == where
    assert what in caught.value.what


def config(**values: object) -> dict[str, Any]:
    return {"command": "configure-router", "config": {"name": "a", "vpc_network": "10.1.0.0/16", **values}}


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"parameters": [["a", "b", "c"]]}, "config.parameters[0]"),
        ({"parameters": [["a", "b"], ["a", "b c"]]}, "config.parameters[1]"),
        ({"parameters": {"a": "b"}}, "config.parameters"),
        ({"secret_parameters": [["a", "hidden value"]]}, "config.secret_parameters[0]"),
        ({"secret_parameters": [["a", 4711]]}, "config.secret_parameters[0][1]"),
        ({"password": "hidden value"}, "config.password"),
        ({"password": ["hidden value"]}, "config.password"),
    ],
)
def test_parameters_and_secrets(values: dict[str, Any], where: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        command_json.load(config(**values))
    assert caught.value.where == where
    assert "hidden" not in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        config(control_address="169.254.0.1/" + "9" * 5000),
        config(public_mtu=10**4000),
        {"command": "replace-acl", "acl": {"device": "eth2", "egress": [{**RULE, "protocol": "9" * 5000}]}},
    ],
    ids=["address", "number", "protocol"],
)
def test_numbers_that_python_does_not_convert(document: dict[str, Any]) -> None:
    with pytest.raises(MalformedInputError):
        command_json.load(document)


def test_unknown_command() -> None:
    with pytest.raises(UnsupportedTypeError, match=r"^command: 'put-vpn' is not a known command$"):
        command_json.load({"command": "put-vpn"})


def test_a_key_twice() -> None:
    with pytest.raises(CallerError, match=r"^acl\.device: stands twice$"):
        command_json.loads('{"command":"replace-acl","acl":{"device":"eth2","device":"eth3"}}')
