"""The demo's burst: about a pair of routers, accepted as a whole, and fitting the laboratory it is meant for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vpcrouter.decide import decide
from vpcrouter.errors import CallerError
from vpcrouter.lab import layout
from vpcrouter.lab.burst import burst_files
from vpcrouter.lab.demo import find_burst, split_at_first_tier
from vpcrouter.projections.digest import digest
from vpcrouter.projections.effective import pending
from vpcrouter.state import State, evolve
from vpcrouter.submission import read_submission

BURST = Path(__file__).parents[2] / "examples/burst"


def state_after(files: list[Path]) -> State:
    """The state after all commands, each of which must be accepted and change something."""
    state = State()
    for path in files:
        for submitted in read_submission(path.read_text(), name=path.name):
            assert submitted.command is not None, f"{path.name}: {submitted.error}"
            decision = decide(state, submitted.command)
            assert decision.event is not None, f"{path.name} changes nothing"
            state = evolve(state, decision.event)
    return state


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
