"""Two routers that are not configured alike say in what; the metrics say that they are not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.lab.conftest import SETTLED_S
from tests.lab.test_drift import roles
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LEASE = {
    "host_name": "h",
    "default_gateway": "10.1.2.1",
    "default_entry": True,
    "remove": False,
    "mac_address": "02:0f:00:00:00:77",
    "ipv4_address": "10.1.2.77",
    "type": "dhcpentry",
    "delete_from_processed_cache": False,
}


def vpcrouter(pair: Laboratory, router: str, *words: str) -> str:
    argv = [sys.executable, "-m", "vpcrouter", "--journal", str(pair.machines[router].journal), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout


def submit(pair: Laboratory, router: str, **changes: object) -> None:
    with pair.connect(router) as agent:
        (line,) = agent.submit("vm_dhcp_entry.json", json.dumps({**LEASE, **changes}))
    assert line["status"] in ("accepted", "unchanged"), line


def test_what_only_one_of_them_has_is_named_on_it(pair: Laboratory) -> None:
    submit(pair, "rA")
    try:
        assert pair.wait(lambda status: (status["rA"]["differs"] or {}).get("only_here") is not None, SETTLED_S)
        assert 'vpcrouter_digest_equal{peer="10.1.2.3"} 0.0' in vpcrouter(pair, "rA", "metrics")
        assert pair.wait(lambda status: status["rA"]["differs"]["only_here"] == ["reservation 10.1.2.77"], 20)
        assert pair.wait(lambda status: status["rB"]["differs"]["only_there"] == 1, 5)
        assert pair.status()["rB"]["differs"]["only_here"] == []
        assert "only here, or otherwise there: reservation 10.1.2.77" in pair.machines["rA"].output.read_text()
        submit(pair, "rB", host_name="other")
        assert pair.wait(lambda status: status["rB"]["differs"]["only_here"] == ["reservation 10.1.2.77"], 20)
    finally:
        for router in ROUTERS:
            submit(pair, router, remove=True)
    assert pair.wait(lambda status: all(each["differs"] is None for each in status.values()), SETTLED_S)
    assert 'vpcrouter_digest_equal{peer="10.1.2.2"} 1.0' in vpcrouter(pair, "rB", "metrics")


def stored(pair: Laboratory, router: str) -> int:
    """The number of the newest reservation in a router's journal."""
    lines = vpcrouter(pair, router, "--json", "log", "--type", "reservation-put").splitlines()
    number: int = json.loads(lines[-1])["seq"]
    return number


def test_a_command_that_one_of_them_never_got_is_named_on_both(pair: Laboratory) -> None:
    lease = {"ipv4_address": "10.1.2.78", "mac_address": "02:0f:00:00:00:78"}
    submit(pair, "rA", **lease)
    number, times = stored(pair, "rA"), r"\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)"
    of_a = f"reservation-put #{number} {times}"
    try:
        assert becomes(pair, "rA", f"reservation 10.1.2.78: {of_a} was never stored on the peer")
        assert becomes(pair, "rB", f"reservation 10.1.2.78: {of_a} of the peer was never stored here")
        assert f"! differs in   reservation 10.1.2.78: reservation-put #{number} " in vpcrouter(pair, "rB", "status")
        assert 'vpcrouter_digest_differs_things{side="there"} 1.0' in vpcrouter(pair, "rB", "metrics")
        said = pair.machines["rB"].output
        assert pair.wait(lambda _: "the routers differ in reservation 10.1.2.78" in said.read_text(), 20)
        submit(pair, "rB", **lease, host_name="other")
        of_b = f"reservation-put #{stored(pair, 'rB')} {times}"
        assert becomes(pair, "rB", f"reservation 10.1.2.78: here {of_b}, on the peer {of_a}")
        submit(pair, "rB", **lease)
        assert pair.wait(lambda status: all(each["differs"] is None for each in status.values()), SETTLED_S)
        assert 'vpcrouter_digest_differs_things{side="there"} 0.0' in vpcrouter(pair, "rB", "metrics")
    finally:
        for router in ROUTERS:
            submit(pair, router, **lease, remove=True)
    assert pair.wait(lambda status: all(each["differs"] is None for each in status.values()), SETTLED_S)


def becomes(pair: Laboratory, router: str, words: str) -> bool:
    """Whether that is soon all that a router says of the commands in which the two differ."""

    def says(status: dict[str, dict[str, Any]]) -> bool:
        found = (status[router]["differs"] or {}).get("commands", ())
        return [re.fullmatch(words, each["text"]) is not None for each in found] == [True]

    return pair.wait(says, 30)


def test_checkrouter_says_why_and_what_the_peer_is(pair: Laboratory) -> None:
    master = roles(pair)["master"]
    assert vpcrouter(pair, master, "cloudstack", "checkrouter") == "Status: PRIMARY\n"
    lines = vpcrouter(pair, master, "cloudstack", "checkrouter", "--long").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["Status", "Since", "Because", "Peer"]
    assert lines[3].startswith("Peer: backup, heard ")
    assert "the same configuration" in lines[3]
