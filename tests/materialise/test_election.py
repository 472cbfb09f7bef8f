"""What the carriage changes: which elector carries, what a removed tier leaves behind, what a move is bridged by."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.materialise import vpc
from vpcrouter.errors import MalformedInputError
from vpcrouter.materialise import materialise
from vpcrouter.values.carriage import Carriage, Elector
from vpcrouter.values.desired import OVERLAY, Desired, InterfaceAddress, Link
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings
from vpcrouter.values.whereabouts import Place, Whereabouts

PAIR = vpc.state(tiers=[vpc.tier(2), vpc.tier(3), vpc.tier(4)], addresses=[vpc.public(10), vpc.private_gateway()])
LOWEST, NEXT = sorted(PAIR.tiers)[:2]


DEFAULTS = Settings()


def desired(
    carriage: Carriage, *, without: str = "", role: Role = Role.MASTER, settings: Settings = DEFAULTS
) -> Desired:
    tiers = {device: tier for device, tier in PAIR.tiers.items() if device != without}
    released = PAIR.released | ({without} if without else set())
    return materialise(evolve(PAIR, tiers=tiers, released=frozenset(released)), role, settings, carriage)


def file_of(found: Desired, daemon: str) -> str:
    (content,) = (file.content for each in found.daemons if each.name == daemon for file in each.files)
    return content


def instances(found: Desired) -> list[str]:
    return file_of(found, "keepalived").split("vrrp_instance ")[1:]


def test_the_carrier_is_the_first_and_alone_carries() -> None:
    first, *others = instances(desired(Carriage(carrier=NEXT)))
    assert first.startswith(NEXT)
    assert "virtual_ipaddress_excluded" in first
    assert len(others) == len(PAIR.tiers) - 1
    assert not [each for each in others if "virtual_ipaddress_excluded" in each or "virtual_routes" in each]
    assert not [each for each in (first, *others) if "nopreempt" in each]


def test_before_the_first_election_nobody_carries_or_preempts() -> None:
    found = instances(desired(Carriage(), role=Role.INIT))
    assert not [each for each in found if "virtual_ipaddress_excluded" in each]
    assert all("nopreempt" in each for each in found)


def test_who_serves_has_the_higher_priority_everywhere() -> None:
    for role, priority in ((Role.MASTER, 203), (Role.BACKUP, 199), (Role.FAULT, 199)):
        found = instances(desired(Carriage(carrier=LOWEST, generation=3), role=role))
        assert all(f"priority {priority}\n" in each for each in found)


def test_what_is_lost_comes_off_every_priority() -> None:
    content = file_of(desired(Carriage(carrier=LOWEST)), "keepalived")
    assert f"file {Settings().penalty_file}\n" in content
    assert all("track_file {\n        penalty\n" in each for each in instances(desired(Carriage(carrier=LOWEST))))


def test_of_a_held_tier_the_device_and_the_own_address_stay_and_nothing_else() -> None:
    gone = PAIR.tiers[LOWEST]
    held = Elector(device=LOWEST, source=gone.address)
    found = desired(Carriage(carrier=NEXT, link=LOWEST, held=(held,)), without=LOWEST)
    kernel = found.kernel
    assert [each for each in kernel.links if each.name == LOWEST] == [Link(name=LOWEST, up=True)]
    assert [each.address for each in kernel.addresses if each.device == LOWEST] == [f"{gone.address}/32"]
    assert not [each for each in kernel.virtual_addresses if each.device == LOWEST]
    assert not [each for each in kernel.routes if each.device == LOWEST]
    assert LOWEST in "".join(instances(found))
    assert f"IPv4_interface {gone.address}" in file_of(found, "conntrackd")
    sets = {each.name: dict(each.elements) for each in found.ruleset.sets}
    assert sets["held"] == {f'"{LOWEST}"': ""}
    assert [name for name, elements in sets.items() if f'"{LOWEST}"' in elements] == ["held"]
    assert gone.gateway not in sets["gateways"]


def test_a_tier_that_is_not_held_leaves_a_bare_device() -> None:
    found = desired(Carriage(carrier=NEXT), without=LOWEST)
    assert Link(name=LOWEST, up=False) in found.kernel.links
    assert not [each for each in found.kernel.addresses if each.device == LOWEST]


def test_a_move_of_a_serving_router_is_bridged_by_both_halves() -> None:
    still = desired(Carriage(carrier=LOWEST)).kernel
    moving = desired(Carriage(carrier=LOWEST, is_bridged=True)).kernel
    added = {(route.network, route.gateway) for route in moving.routes} - {
        (route.network, route.gateway) for route in still.routes
    }
    default = next(route for route in still.virtual_routes if route.network == "0.0.0.0/0")
    assert {("0.0.0.0/1", default.gateway), ("128.0.0.0/1", default.gateway)} <= added
    assert {("203.0.113.0/25", ""), ("203.0.113.128/25", "")} <= added
    assert evolve(moving, routes=still.routes) == still


def test_a_public_device_never_loses_its_last_address() -> None:
    assert InterfaceAddress(device="eth1", address="169.254.255.1/32") in desired(Carriage()).kernel.addresses


def elements(found: Desired, name: str) -> set[str]:
    (wanted,) = (each for each in found.ruleset.sets if each.name == name)
    return {key for key, _ in wanted.elements}


def test_only_the_peer_s_places_on_devices_with_an_elector_are_in_the_ruleset() -> None:
    here = Place(device=LOWEST, address="10.1.2.3", mac="02:01:00:02:00:0b")
    nowhere = Place(device="eth60", address="10.1.60.3", mac="02:01:00:3c:00:0b")
    known = Whereabouts(places=(here, nowhere), closed=(LOWEST, "eth60"), attended=("eth60",))
    found = desired(Carriage(carrier=LOWEST, whereabouts=known))
    assert elements(found, "peers") == {f'"{LOWEST}" . 10.1.2.3 . 02:01:00:02:00:0b'}
    assert (elements(found, "closed"), elements(found, "attended")) == ({f'"{LOWEST}"'}, set())
    alone = desired(Carriage(carrier=LOWEST, whereabouts=Whereabouts(is_alone=True)))
    assert elements(alone, "closed") == {f'"{device}"' for device in PAIR.tiers}
    assert (elements(alone, "peers"), elements(alone, "attended")) == (set(), set()), "a peer may come any time"
    assert elements(desired(Carriage(carrier=LOWEST)), "closed") == set()


BY_UNICAST = Settings(unicast_peers=("10.1.2.2", "10.1.2.3", "10.1.2.1", "10.1.9.3"))


def peers(found: Desired) -> dict[str, list[str]]:
    """By device, whom keepalived speaks to."""
    return {each.split()[0]: each.partition("unicast_peer {")[2].partition("}")[0].split() for each in instances(found)}


def test_by_unicast_it_is_the_listed_addresses_of_other_routers_on_the_tier_and_where_the_peer_was_heard() -> None:
    found = desired(Carriage(carrier=LOWEST), settings=BY_UNICAST)
    assert peers(found) == {"eth2": ["10.1.2.3"], "eth3": [], "eth4": []}, "neither its own, nor the gateway"
    assert all("unicast_fault_no_peer" in each and "mcast_src_ip" not in each for each in instances(found))
    known = Whereabouts(remembered=(("eth2", "10.1.2.9"), ("eth3", "10.1.3.3")))
    found = desired(Carriage(carrier=LOWEST, whereabouts=known), settings=BY_UNICAST)
    assert peers(found) == {"eth2": ["10.1.2.9", "10.1.2.3"], "eth3": ["10.1.3.3"], "eth4": []}
    assert elements(found, "unicast_peers") == {
        '"eth2" . 10.1.2.9',
        '"eth2" . 10.1.2.3',
        '"eth3" . 10.1.3.3',
    }
    over = found.kernel.overlay
    assert over is not None
    assert (over.device, over.source, over.remotes) == ("eth2", PAIR.tiers[LOWEST].address, ("10.1.2.3", "10.1.2.9"))
    assert InterfaceAddress(device=OVERLAY, address="250.1.2.2/32") in found.kernel.addresses
    assert "IPv4_interface 250.1.2.2\n        Interface vpcsync\n" in file_of(found, "conntrackd")


def test_a_held_elector_goes_on_speaking_to_where_the_peer_was() -> None:
    gone = Elector(device=LOWEST, source=PAIR.tiers[LOWEST].address)
    known = Whereabouts(remembered=((LOWEST, "10.1.2.3"),))
    held = Carriage(carrier=NEXT, link=LOWEST, held=(gone,), whereabouts=known)
    assert peers(desired(held, without=LOWEST, settings=BY_UNICAST))[LOWEST] == ["10.1.2.3"]


def test_conntrackd_has_nothing_to_do_with_who_is_known() -> None:
    """So nobody who joins, or comes back with another address, has it start anew."""
    files = set()
    for address in ("10.1.3.3", "10.1.3.4"):
        known = Whereabouts(remembered=((NEXT, address),))
        found = desired(Carriage(carrier=NEXT, link=NEXT, whereabouts=known), settings=BY_UNICAST)
        assert found.kernel.overlay is not None
        assert found.kernel.overlay.remotes == (address,)
        files.add(file_of(found, "conntrackd"))
    assert len(files) == 1
    nobody = desired(Carriage(carrier=NEXT, link=NEXT), settings=BY_UNICAST)
    assert nobody.kernel.overlay is not None
    assert nobody.kernel.overlay.remotes == ()
    assert files == {file_of(nobody, "conntrackd")}


def test_by_multicast_there_is_no_overlay() -> None:
    found = desired(Carriage(carrier=LOWEST)).kernel
    assert found.overlay is None
    assert OVERLAY not in {each.name for each in found.links}


def test_where_the_kernel_makes_none_nothing_is_synchronised_and_the_rest_goes_on() -> None:
    found = desired(Carriage(carrier=LOWEST), settings=evolve(BY_UNICAST, has_vxlan=False))
    assert found.kernel.overlay is None
    assert {each.name for each in found.daemons} >= {"dnsmasq", "keepalived"}
    assert "conntrackd" not in {each.name for each in found.daemons}


@pytest.mark.parametrize("bad", ["10.1.2", "10.1.2.3 }", "10.1.2.3\n}", "::1", "", "x" * 10_000])
def test_what_is_no_address_is_no_peer(bad: str) -> None:
    with pytest.raises(MalformedInputError):
        Settings(unicast_peers=("10.1.2.3", bad))
