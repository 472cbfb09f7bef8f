"""What of the other router's beacons is believed, and that nothing else is."""

from __future__ import annotations

import hmac
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpcrouter.machines.peer import SILENT_NS
from vpcrouter.machines.peers import Heard, PeersMachine, derive_key
from vpcrouter.values.agreement import Window
from vpcrouter.values.beacon import Saying
from vpcrouter.values.carriage import PeerCarriage
from vpcrouter.values.connections import SAMPLE_SIZE, ConnectionSample
from vpcrouter.values.role import Role
from vpcrouter.values.whereabouts import Place

KEY = derive_key("secret", "10.1.0.0/16")
SAYING = Saying(tiers=("eth2", "eth3"), carrier="eth2", target="eth2", role=Role.MASTER, seq=7, digest="ab" * 32)
NOW = 10 * SILENT_NS


class Nonces:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return self.count.to_bytes(8, "big")


def carriage(machine: PeersMachine, now_ns: int) -> PeerCarriage | None:
    return next(iter(machine.carriages(now_ns)), None)


def describe(machine: PeersMachine, now_ns: int) -> dict[str, Any] | None:
    return next((each.describe(now_ns) for each in machine.known()), None)


def said(machine: PeersMachine, now_ns: int) -> Saying | None:
    return next((each.saying for each in machine.heard(now_ns)), None)


def met() -> tuple[PeersMachine, PeersMachine, Nonces]:
    """Two routers that have heard each other."""
    one, other, nonce = PeersMachine(b"a" * 8), PeersMachine(b"b" * 8), Nonces()
    assert other.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.GREETING
    assert one.hear(other.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert other.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    return one, other, nonce


def test_two_that_meet_know_each_other_after_three_beacons() -> None:
    one, other, _ = met()
    for each in (one, other):
        found = carriage(each, NOW)
        assert found is not None
        assert (found.tiers, found.carrier, found.target) == (("eth2", "eth3"), "eth2", "eth2")
        described = describe(each, NOW)
        assert described is not None
        assert (described["role"], described["seq"], described["digest"]) == ("master", 7, "ab" * 32)


def test_nobody_is_known_before() -> None:
    machine = PeersMachine(b"a" * 8)
    assert carriage(machine, NOW) is None
    assert describe(machine, NOW) is None


def test_what_is_the_same_is_no_news() -> None:
    one, other, nonce = met()
    assert other.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.SAME
    assert other.hear(one.beacon(Saying(), KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS


def test_the_same_beacon_by_another_device_is_nothing() -> None:
    one, other, nonce = met()
    beacon = one.beacon(SAYING, KEY, nonce(), NOW)
    assert [other.hear(beacon, KEY, NOW) for _ in range(3)] == [Heard.SAME, Heard.NOTHING, Heard.NOTHING]


def test_an_old_beacon_is_not_believed_again() -> None:
    one, other, nonce = met()
    old = one.beacon(Saying(carrier="eth9"), KEY, nonce(), NOW)
    assert other.hear(old, KEY, NOW) is Heard.NEWS
    for _ in range(3):
        one.hear(other.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW)
        other.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW)
    assert other.hear(old, KEY, NOW) is Heard.NOTHING
    restarted = PeersMachine(b"c" * 8)
    restarted.beacon(SAYING, KEY, nonce(), NOW)
    assert restarted.hear(old, KEY, NOW) is Heard.GREETING
    assert carriage(restarted, NOW) is None


def test_a_peer_that_starts_again_is_met_again() -> None:
    one, _, nonce = met()
    successor = PeersMachine(b"c" * 8)
    assert one.hear(successor.beacon(Saying(), KEY, nonce(), NOW), KEY, NOW) is Heard.GREETING
    assert successor.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert one.hear(successor.beacon(Saying(), KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS


def test_two_that_were_parted_for_less_than_a_silence_meet_at_once() -> None:
    """Neither echoes anything that the other has said lately; the newest word is worth an answer, and no older one."""
    one, other, nonce = met()
    for _ in range(5):
        one.beacon(SAYING, KEY, nonce(), NOW)
        captured = other.beacon(SAYING, KEY, nonce(), NOW)
    newest = other.beacon(SAYING, KEY, nonce(), NOW)
    assert one.hear(newest, KEY, NOW) is Heard.GREETING
    assert one.hear(captured, KEY, NOW) is Heard.NOTHING
    assert other.hear(one.beacon(Saying(carrier="eth4"), KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert one.hear(other.beacon(Saying(carrier="eth5"), KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert one.hear(newest, KEY, NOW) is Heard.NOTHING


def test_silence_shows_and_the_last_word_stays() -> None:
    one, _, _ = met()
    late = carriage(one, NOW + SILENT_NS)
    assert late is not None
    assert (late.is_silent, late.carrier) == (True, "eth2")


def test_one_s_own_voice_is_nothing() -> None:
    one, _, nonce = met()
    assert one.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.NOTHING


@pytest.mark.parametrize("key", [derive_key("other", "10.1.0.0/16"), derive_key("secret", "10.2.0.0/16"), b""])
def test_another_key_is_nothing(key: bytes) -> None:
    one, other, nonce = met()
    assert other.hear(one.beacon(SAYING, key, nonce(), NOW), KEY, NOW) is Heard.NOTHING


@given(st.data())
def test_a_changed_byte_is_nothing(data: st.DataObject) -> None:
    one, other, nonce = met()
    beacon = bytearray(one.beacon(SAYING, KEY, nonce(), NOW))
    beacon[data.draw(st.integers(0, len(beacon) - 1))] ^= data.draw(st.integers(1, 255))
    assert other.hear(bytes(beacon), KEY, NOW) is Heard.NOTHING


@given(st.binary(max_size=1500))
def test_noise_is_nothing(noise: bytes) -> None:
    _, other, _ = met()
    assert other.hear(noise, KEY, NOW) is Heard.NOTHING


@given(
    st.recursive(st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.binary(max_size=9), st.lists, max_leaves=20)
)
def test_whoever_has_the_key_can_do_no_more_than_lie(content: object) -> None:
    import hashlib
    import hmac

    _, other, _ = met()
    body: bytes = msgpack.packb(content)
    assert other.hear(body + hmac.new(KEY, body, hashlib.sha256).digest(), KEY, NOW) is Heard.NOTHING


@pytest.mark.parametrize("hashes", [(), (1,), tuple(range(2**32 - SAMPLE_SIZE, 2**32))])
def test_a_sample_of_connections_arrives_as_it_was(hashes: tuple[int, ...]) -> None:
    one, other, nonce = met()
    sample = ConnectionSample(number=5, epoch=2**40, total=100_000, hashes=hashes)
    saying = Saying(role=Role.MASTER, ready=True, missing=3, sample=sample)
    assert other.hear(one.beacon(saying, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert said(other, NOW) == saying
    assert said(other, NOW + SILENT_NS) is None


def test_the_longest_beacon_fits() -> None:
    devices = tuple(f"eth{number}" for number in range(2, 66))
    sample = ConnectionSample(number=2**40, epoch=2**40, total=2**20, hashes=(2**32 - 1,) * SAMPLE_SIZE)
    saying = Saying(
        tiers=devices,
        carrier="eth65",
        target="eth65",
        digest="f" * 64,
        sample=sample,
        roles=tuple((device, Role.MASTER) for device in devices),
        unconfirmed=("tf-" * 100,) * 10,
    )
    one, other, nonce = met()
    assert other.hear(one.beacon(saying, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS


@pytest.mark.parametrize("place", range(18))
@pytest.mark.parametrize("strange", [2**62, -1, 0.5, None, [[]], {}, b"\xff" * 9, "\0"])
def test_a_signed_beacon_of_strange_values_is_heard_or_nothing(place: int, strange: object) -> None:
    """A number where bytes are due once asked for that many bytes of memory, and ended the agent."""
    _, other, nonce = met()
    body = PeersMachine(b"a" * 8).beacon(SAYING, KEY, nonce(), NOW)[:-32]
    fields = msgpack.unpackb(body)
    fields[list(fields)[place]] = strange
    forged = msgpack.packb(fields)
    other.hear(forged + hmac.digest(KEY, forged, "sha256"), KEY, NOW)
    describe(other, NOW)
    other.beacon(SAYING, KEY, nonce(), NOW)


def answer(router: PeersMachine, to: PeersMachine, saying: Saying, nonce: Nonces, now_ns: int) -> None:
    to.hear(router.beacon(saying, KEY, nonce(), now_ns), KEY, now_ns)


MASTER, BACKUP = Saying(role=Role.MASTER), Saying(role=Role.BACKUP)
MS = 1_000_000


def test_two_contest_once_each_has_said_so_knowing_of_the_other() -> None:
    one, other, nonce = met()  # both say that they serve, but neither has answered that yet
    answer(one, other, BACKUP, nonce, NOW)
    answer(other, one, MASTER, nonce, NOW)
    assert one.contested_ns(NOW) is None
    answer(one, other, MASTER, nonce, NOW)
    assert other.contested_ns(NOW) == 0, "it has said so, and the other one has answered by saying the same"
    assert one.contested_ns(NOW) is None, "what it has heard was said before its own claim"
    answer(other, one, MASTER, nonce, NOW + 50 * MS)
    answer(one, other, MASTER, nonce, NOW + 100 * MS)
    assert (one.contested_ns(NOW + 100 * MS), other.contested_ns(NOW + 100 * MS)) == (0, 100 * MS)


def test_the_last_word_of_a_master_that_crashed_is_no_contest() -> None:
    one, other, nonce = met()
    answer(other, one, BACKUP, nonce, NOW)
    answer(one, other, MASTER, nonce, NOW)
    other.beacon(MASTER, KEY, nonce(), NOW + 300 * MS)
    found = carriage(other, NOW + 300 * MS)
    assert found is not None
    assert (found.role, found.contested_ns) == (Role.MASTER, None)


def test_how_long_two_served_counts_from_before_they_heard_each_other() -> None:
    one, other, nonce = met()
    answer(one, other, BACKUP, nonce, NOW)
    answer(other, one, BACKUP, nonce, NOW)
    one.beacon(MASTER, KEY, nonce(), NOW + 100 * MS)
    other.beacon(MASTER, KEY, nonce(), NOW + 400 * MS)
    one.beacon(BACKUP, KEY, nonce(), NOW + 1_000 * MS)  # VRRP was faster: neither has known of the other
    later = NOW + 1_500 * MS
    for _ in range(3):
        answer(one, other, BACKUP, nonce, later)
        answer(other, one, MASTER, nonce, later)
    assert one.take_both_served() == other.take_both_served() == [600]
    answer(other, one, BACKUP, nonce, later)
    assert one.take_both_served() == [], "once is enough"


def test_a_moment_as_master_between_two_beacons_is_told() -> None:
    """Guests have heard of it, too."""
    one, other, nonce = met()
    answer(one, other, BACKUP, nonce, NOW)
    one.beacon(MASTER, KEY, nonce(), NOW + 100 * MS)
    other.beacon(BACKUP, KEY, nonce(), NOW + 100 * MS)
    assert not other.owes_word
    other.serves(True, NOW + 400 * MS)
    other.serves(False, NOW + 400 * MS + 50_000)
    assert other.owes_word
    answer(other, one, BACKUP, nonce, NOW + 401 * MS)
    assert len(one.take_both_served()) == 1
    assert not other.owes_word


def test_one_after_the_other_is_no_time_of_two() -> None:
    one, other, nonce = met()
    answer(other, one, BACKUP, nonce, NOW)
    answer(one, other, BACKUP, nonce, NOW + 500 * MS)
    other.beacon(MASTER, KEY, nonce(), NOW + 600 * MS)
    for _ in range(3):
        answer(other, one, MASTER, nonce, NOW + 900 * MS)
        answer(one, other, BACKUP, nonce, NOW + 900 * MS)
    assert one.take_both_served() == other.take_both_served() == []


def test_who_changes_speaks_faster_and_who_contests_faster_still() -> None:
    one, other, nonce = met()
    rest = NOW + 10 * SILENT_NS
    slow = one.pace_ns(rest)
    one.stir(rest)
    assert one.pace_ns(rest) < slow
    for _ in range(3):
        answer(one, other, MASTER, nonce, rest)
        answer(other, one, MASTER, nonce, rest)
    assert one.pace_ns(rest) * 2 < MS * 100
    assert 2 * slow < SILENT_NS, "one beacon may be missed"


def test_a_name_that_is_not_known_yet_does_no_harm() -> None:
    import hashlib
    import hmac

    one, other, nonce = met()
    beacon = one.beacon(BACKUP, KEY, nonce(), NOW)
    fields = msgpack.unpackb(beacon[:-32])
    body: bytes = msgpack.packb({**{k: v for k, v in fields.items() if k != "generation"}, "later": [1]})
    assert other.hear(body + hmac.new(KEY, body, hashlib.sha256).digest(), KEY, NOW) is Heard.NEWS


def test_a_status_tells_what_waits_for_confirmation_at_the_peer() -> None:
    one, other, nonce = met()
    assert other.hear(one.beacon(Saying(unconfirmed=("tf-17", "42")), KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    described = describe(other, NOW)
    assert described is not None
    assert described["unconfirmed"] == ["tf-17", "42"]


def test_a_window_of_things_arrives_as_it_was() -> None:
    one, other, nonce = met()
    saying = Saying(window=Window(low=5, high=2**32, hashes=(5, 2**32 - 1)), offer=2)
    assert other.hear(one.beacon(saying, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert said(other, NOW) == saying


PLACES = (Place(device="eth2", address="10.1.2.3", mac="02:01:00:02:00:0b"),)


def test_a_beacon_tells_where_its_router_s_frames_come_from() -> None:
    one, other, nonce = met()
    assert not other.known()[0].places
    assert other.hear(one.beacon(SAYING, KEY, nonce(), NOW, PLACES), KEY, NOW) is Heard.SAME
    assert other.known()[0].places == PLACES


@pytest.mark.parametrize(
    "place",
    [
        ["eth1", b"\x0a\x01\x02\x03\x02\x01\x00\x02\x00\x0b"],
        ['eth2" }', b"\x0a\x01\x02\x03\x02\x01\x00\x02\x00\x0b"],
        ["eth2", b"\x0a\x01\x02\x03\x03\x01\x00\x02\x00\x0b"],
        ["eth2", b"\x0a\x01\x02\x03"],
        ["eth2", "10.1.2.3"],
        ["eth2"],
        "eth2",
    ],
)
def test_a_place_that_is_none_makes_no_beacon(place: object) -> None:
    one, other, nonce = met()
    datagram = one.beacon(SAYING, KEY, nonce(), NOW)
    fields = msgpack.unpackb(datagram[:-32])
    packed = msgpack.packb(fields | {"places": [place]})
    assert other.hear(packed + hmac.digest(KEY, packed, "sha256"), KEY, NOW) is Heard.NOTHING
    assert other.hear(datagram, KEY, NOW) is Heard.SAME


@pytest.mark.parametrize(
    ("name", "word", "heard"),
    [
        ("vrrp", "hmac", Heard.NEWS),
        ("vrrp", "x", Heard.NOTHING),
        ("vrrp", 1, Heard.NOTHING),
        ("way", "unicast", Heard.NEWS),
        ("way", "x", Heard.NOTHING),
    ],
)
def test_a_beacon_tells_one_of_the_kinds_of_vrrp(name: str, word: object, heard: Heard) -> None:
    one, other, nonce = met()
    fields = msgpack.unpackb(one.beacon(SAYING, KEY, nonce(), NOW)[:-32])
    packed = msgpack.packb(fields | {name: word})
    assert other.hear(packed + hmac.digest(KEY, packed, "sha256"), KEY, NOW) is heard


@pytest.mark.parametrize(
    "echoes",
    [
        [[b"a" * 8, b"n" * 8, True]] * 8,
        [[b"a" * 7, b"n" * 8, True]],
        [[b"a" * 8, b"n" * 9, True]],
        [[b"a" * 8, b"n" * 8, 1]],
        [[b"a" * 8, b"n" * 8]],
        [[b"a" * 8, b"n" * 8, True, True]],
        [b"a" * 8],
        b"n" * 8,
        None,
    ],
)
def test_an_echo_that_is_none_makes_no_beacon(echoes: object) -> None:
    one, other, nonce = met()
    datagram = one.beacon(SAYING, KEY, nonce(), NOW)
    fields = msgpack.unpackb(datagram[:-32])
    assert len(fields["echoes"]) == 1
    packed = msgpack.packb(fields | {"echoes": echoes})
    assert other.hear(packed + hmac.digest(KEY, packed, "sha256"), KEY, NOW) is Heard.NOTHING
    assert other.hear(datagram, KEY, NOW) is Heard.SAME


def test_what_is_answered_counts_as_heard_only_if_it_was_believed() -> None:
    """The first word of a stranger is echoed, and not believed: an elector that it said to be gone is needed still."""
    one, other, nonce = PeersMachine(b"a" * 8), PeersMachine(b"b" * 8), Nonces()
    assert other.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.GREETING
    assert one.hear(other.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert one.carriages(NOW)[0].heard is None
    assert other.hear(one.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert one.hear(other.beacon(SAYING, KEY, nonce(), NOW), KEY, NOW) is Heard.NEWS
    assert one.carriages(NOW)[0].heard == ("eth2", "eth3")
