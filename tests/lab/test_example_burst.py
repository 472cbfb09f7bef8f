"""The demo's burst: about a pair of routers, accepted as a whole, and fitting the laboratory it is meant for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.example import BURST, state_after
from vpcrouter.errors import CallerError
from vpcrouter.lab import layout
from vpcrouter.lab.burst import burst_files
from vpcrouter.lab.demo import find_burst, split_at_first_tier
from vpcrouter.projections.digest import digest
from vpcrouter.projections.effective import pending


def test_both_routers_end_configured_alike_with_nothing_pending() -> None:
    files = burst_files(BURST)
    first, second = state_after(files["rA"]), state_after(files["rB"])
    assert digest(first) == digest(second)
    assert pending(first) == pending(second) == ()


def test_it_names_the_laboratorys_own_devices_and_guests() -> None:
    for router in layout.ROUTERS:
        macs = {cable.device: cable.mac for cable in layout.cables_of(router)}
        guests = {layout.address_of(node): layout.cables_of(node)[0].mac for node in layout.GUESTS}
        leases = {}
        for path in burst_files(BURST)[router]:
            command = json.loads(path.read_text())
            if command["type"] in ("guestnetwork", "networkacl"):
                assert command["mac_address"] == macs[command["device"]]
            elif command["type"] == "ips":
                assert all(address["vif_mac_address"] == layout.PUBLIC_MAC for address in command["ip_address"])
            elif command["type"] == "dhcpentry":
                leases[command["ipv4_address"]] = command["mac_address"]
        assert {address: mac for address, mac in guests.items() if address in leases}.items() <= leases.items()
        assert len(leases.keys() & guests.keys()) == 5


def test_it_is_split_where_the_first_tier_is_complete() -> None:
    boot, rest = split_at_first_tier(burst_files(BURST))
    assert [path.name for path in boot["rA"]][-1] == "003-network_acl.json"
    assert len(boot["rB"]) + len(rest["rB"]) == len(burst_files(BURST)["rB"])


def test_the_demo_finds_it_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_burst(None) == BURST
    assert find_burst(tmp_path) == tmp_path


@pytest.mark.parametrize("present", [[], ["rA"], ["rA", "rB"]])
def test_what_is_no_burst_is_refused(tmp_path: Path, present: list[str]) -> None:
    for name in present:
        (tmp_path / name).mkdir()
    with pytest.raises(CallerError, match=r"not a burst|no command file"):
        burst_files(tmp_path)
