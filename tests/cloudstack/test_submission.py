"""Whatever form a file has, each of its commands is found, and one that cannot be read hides no other."""

from __future__ import annotations

import json

import pytest

from tests.cloudstack.documents import DATA, DOCUMENTS, changed
from vpcrouter.cloudstack import decode
from vpcrouter.command_json import dumps
from vpcrouter.errors import MalformedInputError
from vpcrouter.submission import Submitted, read_submission

ROUTES = json.dumps(DOCUMENTS["staticroutes"])
LEASE = json.dumps(DOCUMENTS["dhcpentry"])
OWN = dumps(decode(LEASE))


def one(data: bytes | str, name: str = "-") -> Submitted:
    (found,) = read_submission(data, name=name)
    return found


@pytest.mark.parametrize(
    "data", [ROUTES, ROUTES + "\n", json.dumps(DOCUMENTS["staticroutes"], indent=2), f"\n\n {ROUTES}"]
)
def test_one_command(data: str) -> None:
    beside = {"routes[].ip_address": "the next hop says where the route leaves"}
    expected = Submitted(where="a.json", command=decode(ROUTES), without_effect=beside, type="staticroutes")
    assert one(data, "a.json") == expected
    assert one(data.encode(), "a.json") == expected


@pytest.mark.parametrize("data", [OWN, json.dumps(json.loads(OWN), indent=1)])
def test_one_command_in_our_own_form(data: str) -> None:
    assert one(data, "network_acl.json") == Submitted(
        where="network_acl.json", command=decode(LEASE), type="put-reservation"
    )


def test_the_name_of_the_file_must_agree() -> None:
    found = one(ROUTES, "/x/003-network_acl.json.1b4e28ba")
    assert found.command is None
    assert isinstance(found.error, MalformedInputError)
    assert found.type == "staticroutes"


def test_aggregated_file() -> None:
    found = read_submission((DATA / "VR-sample.cfg").read_bytes(), name="VR-sample.cfg")
    assert [each.type for each in found] == [
        "ips", "staticnatrules", "forwardrules", "networkacl", "dhcpentry", "dhcpentry", "vmdata",
    ]  # fmt: skip
    assert [each.where for each in found] == [f"VR-sample.cfg:{line}" for line in range(7, 50, 7)]
    assert [each.error for each in found] == [None] * 7


def test_aggregated_file_whose_block_disagrees_with_its_name() -> None:
    data = (DATA / "VR-sample.cfg").read_bytes().replace(b"/network_acl.json", b"/static_routes.json")
    data = data.replace(b"py network_acl.json", b"py static_routes.json")
    found = read_submission(data, name="x")
    assert [str(each.error) for each in found if each.error] == [
        "type: is not staticroutes, which is what a file named static_routes holds",
    ]


@pytest.mark.parametrize("data", ["<version>\n2.0\n</version>", "# nothing", "<version>\n1.0\n</version>", b"<\xff"])
def test_aggregated_file_that_cannot_be_read(data: bytes | str) -> None:
    found = one(data, "VR-1.cfg")
    assert (found.where, found.command, found.type) == ("VR-1.cfg", None, "")
    assert isinstance(found.error, MalformedInputError)


def test_lines_of_both_forms_with_broken_ones_among_them() -> None:
    broken = json.dumps(changed("staticroutes", {"routes[0].gateway": "x"}))
    data = "\n".join(
        ["garbage", ROUTES, "", OWN, '{"type":', '{"type":"vmpassword"}', broken, "  ", "[]", LEASE, '{"comm']
    )
    for form in (data, data.encode()):
        found = read_submission(form, name="f")
        assert [(each.where, each.type, each.error and each.error.where) for each in found] == [
            ("f:1", "", "column 1"),
            ("f:2", "staticroutes", None),
            ("f:4", "put-reservation", None),
            ("f:5", "", "column 9"),
            ("f:6", "vmpassword", "ip_address"),
            ("f:7", "staticroutes", "routes[0].gateway"),
            ("f:9", "", ""),
            ("f:10", "dhcpentry", None),
            ("f:11", "", "column 2"),
        ]


def test_a_line_that_is_not_utf8_hides_no_other() -> None:
    found = read_submission(ROUTES.encode() + b"\n\xff\n" + LEASE.encode(), name="f")
    assert [each.error is None for each in found] == [True, False, True]


def test_lines_may_end_as_on_windows() -> None:
    assert [each.error for each in read_submission(f"{ROUTES}\r\n\r\n{OWN}\r\n", name="f")] == [None, None]


def test_lines_do_not_end_at_other_separators() -> None:
    data = '{"type":"dhcpentry","\u2028\x85":1}\n' + ROUTES
    assert [each.where for each in read_submission(data, name="f")] == ["f:1", "f:2"]


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        ("", "file", "holds no command"),
        ("\n\n", "file", "holds no command"),
        ("garbage\nmore garbage", "line 1, column 1", "is not JSON"),
        ('{\n  "type": "ips",\n  "ip_address": [\n', "line 4, column 1", "is not JSON"),
        ("[" + ROUTES + "]", "", "a list stands where an object belongs"),
        ("{}", "type", "is missing"),
        ('{"type":"vpn"}', "type", "not a known type"),
        ('{"command":"put-vpn"}', "command", "not a known command"),
        ('{"command":["put-tier"]}', "command", "a list stands"),
        (b"\xff", "byte 0", "UTF-8"),
        (" " * (16 * 1024 * 1024 + 1), "file", "larger"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_cannot_be_read_as_a_whole(data: bytes | str, where: str, what: str) -> None:
    found = one(data, "f")
    assert (found.where, found.command, found.type) == ("f", None, "")
    assert found.error is not None
    assert found.error.where == where
    assert what in found.error.what


def test_a_broken_document_is_one_error_although_its_lines_have_types() -> None:
    text = json.dumps(DOCUMENTS["networkacl"], indent=1)
    rules = ",\n".join(json.dumps(rule) for rule in DOCUMENTS["networkacl"]["ingress_rules"])
    assert one(text[:-2], "f").where == "f"
    assert one(f'{{"ingress_rules": [\n{rules}\n], "type": "networkacl"', "f").where == "f"
