"""No field of the wire format is dropped without a word: it changes the command, or is refused, or is named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloudstack.documents import DATA, DOCUMENTS, changed, leaves
from vpcrouter import Router, desk
from vpcrouter.cloudstack.decoder import Decoded, decode_document
from vpcrouter.cloudstack.loadbalancer import _DEFAULTS
from vpcrouter.errors import MalformedInputError

FUNCTIONS = Path(__file__).parents[2] / "docs/functions.md"
REFUSED_TYPES = ("dhcp.json", "ip_aliases.add.json", "ip_aliases.remove.json")
SAMPLES = {
    path.name: json.loads(path.read_text()) for path in sorted(DATA.glob("*.json")) if path.name not in REFUSED_TYPES
}
ALL = {**SAMPLES, **DOCUMENTS}
NEED_NO_WORD = {
    "delete_from_processed_cache": "nothing is kept of a file, whatever it says",
    "cmd_line.redundant_primary": "false says what is so",
    "cmd_line.type": "any other is refused; nothing at all means the same",
}
"""Fields, and why."""

_INDEX = re.compile(r"\[[0-9]+\]")


def others(value: Any) -> Iterator[Any]:
    """Other values of the same kind; some of them may be refused."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 0)
    elif isinstance(value, str):
        yield from (f"{value}1", f"1{value}", f"{value}x", "false" if value == "true" else "true", "eth3", "tcp", "all")
        yield from ("17", "81:81", "80:90", "9000:9009", "192.0.2.99", "2001:db8:77::7", "02:00:00:00:00:07")
        yield from ("198.51.100.0/25", "2001:db8:77::/64", "10.1.2.7", "203.0.113.77", "BACKUP", "ikev1", "")


def read(document: dict[str, Any]) -> Decoded | None:
    try:
        return decode_document(document)
    except MalformedInputError:
        return None


def is_named(leaf: str, decoded: Decoded) -> bool:
    path = _INDEX.sub("[]", leaf)
    return any(path == key or path.startswith((f"{key}[", f"{key}.")) for key in decoded.without_effect)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_no_field_is_dropped_without_a_word(kind: str) -> None:
    before = decode_document(DOCUMENTS[kind])
    for leaf, value in leaves(DOCUMENTS[kind]).items():
        if leaf in NEED_NO_WORD or leaf == "type":
            continue
        found = [read(changed(kind, {leaf: other})) for other in others(value) if other != value]
        readable = [after for after in found if after is not None]
        has_effect = any(after.command != before.command for after in readable)
        assert not readable or has_effect or any(is_named(leaf, each) for each in (before, *readable)), leaf


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("load_balancer")])
def test_no_line_for_the_load_balancer_is_dropped_without_a_word(name: str) -> None:
    before = decode_document(SAMPLES[name])
    lines = SAMPLES[name]["rules"][0]["configuration"]
    for index, line in enumerate(lines):
        document = json.loads(json.dumps(SAMPLES[name]))
        del document["rules"][0]["configuration"][index]
        after = read(document)
        if after is None or after.command != before.command:
            continue
        stays = _DEFAULTS.fullmatch(" ".join(line.split())) or line.strip() in ("", "stats realm Haproxy\\ Statistics")
        assert stays or is_named("rules[0].configuration[0]", before), line


@pytest.mark.parametrize("name", ALL)
def test_what_is_named_stands_in_the_documentation(name: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` (\|.*)$", FUNCTIONS.read_text(), re.MULTILINE))
    kind = ALL[name]["type"]
    for path in decode_document(ALL[name]).without_effect:
        place = FUNCTIONS.read_text() if kind == "cmdline" else rows[kind]
        assert f"`{path.rpartition('.')[2]}`" in place, f"docs/functions.md does not name {path} of {kind}"


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        ("dhcpentry", {"dns_addresses": "192.0.2.7"}, "dns_addresses"),
        ("dhcpentry", {"static_routes": "10.9.0.0/16"}, "static_routes"),
        ("firewallrules", {"rules[0].dest_cidr_list": ["10.1.2.0/24"]}, "rules[].dest_cidr_list"),
        ("firewallrules", {"rules[0].default_egress_policy": True}, "rules[].default_egress_policy"),
        ("bgppeers", {"peers[0].peer_id": None}, "peers[].peer_id"),
        ("ips", {"ip_address[0].one_to_one_nat": True}, "ip_address[].one_to_one_nat"),
        (
            "monitorservice",
            {"health_checks_config.systemThresholds": "maxCpuUsage=90.5;"},
            "health_checks_config.systemThresholds",
        ),
    ],
)
def test_named_with_its_path_and_a_reason(kind: str, changes: dict[str, Any], named: str) -> None:
    reason = decode_document(changed(kind, changes)).without_effect[named]
    assert reason.isprintable() and len(reason) > 10


def test_ipv6_resolvers_of_a_tier_without_ipv6_are_named() -> None:
    no_ipv6 = {
        f"{name}{part}": None for name in ("router_guest_ip6", "router_ip6") for part in ("", "_gateway", "_cidr")
    }
    found = decode_document(changed("guestnetwork", {**no_ipv6, "dns6": "2001:db8::53"}))
    assert {"dns6", "cidr6"} <= found.without_effect.keys()


def test_whoever_submits_is_told(tmp_path: Path) -> None:
    with Router.open(tmp_path / "journal") as router:
        request = desk.read_request({"name": "f", "data": json.dumps(DOCUMENTS["staticroutes"])})
        (((line,)),) = desk.submit(router, [request], origin="test")
        assert line["without_effect"] == {"routes[].ip_address": "the next hop says where the route leaves"}
        refused = json.dumps(changed("staticroutes", {"routes[0].gateway": "x"}))
        ((other,),) = desk.submit(router, [desk.read_request({"name": "f", "data": refused})], origin="test")
        assert "without_effect" not in other
