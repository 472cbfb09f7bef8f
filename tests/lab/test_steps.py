"""Steps of a soak: texts there and back, the same seed the same steps, and a cost for whatever may be dealt."""

from __future__ import annotations

from itertools import islice

import pytest

from vpcrouter.errors import CallerError
from vpcrouter.lab.steps import Cost, cost_of, deal, parse_steps

ADVERTISEMENT_MS = 100
A_HAND = 26


@pytest.mark.parametrize("seed", range(20))
def test_what_is_dealt_is_written_and_read(seed: int) -> None:
    steps = tuple(islice(deal(seed), 3 * A_HAND))
    assert parse_steps(",".join(map(str, steps))) == steps


def test_the_same_seed_deals_the_same() -> None:
    assert [*islice(deal(5), 100)] == [*islice(deal(5), 100)] != [*islice(deal(6), 100)]


def test_every_kind_comes_in_the_first_hand() -> None:
    dealt = {act.what for step in islice(deal(0), A_HAND) for act in step.acts}
    kinds = {"burst", "move", "crash", "kill", "stop", "silence", "unplug", "drift", "reboot", "handover"}
    assert dealt == kinds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "there is no step"),
        ("kill:agent", "not kill:target:role:seconds"),
        ("kill:init:master:1", "not for kill"),
        ("kill:agent:both:1", "no role"),
        ("kill:agent:master:-1", "no time"),
        ("kill:agent:master:nan", "no time"),
        ("burst:0", "no number of commands"),
        ("burst:٣", "no number of commands"),
        ("drift:ip link delete eth0:master", "not for drift"),
        ("handover+reboot:master@x", "no time"),
        ("handover:1", "not handover"),
    ],
)
def test_what_is_no_step_is_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(CallerError, match=complaint):
        parse_steps(f"handover,{text}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("burst:60", Cost(both_serve_ms=100)),
        ("handover", Cost(both_serve_ms=100)),
        ("move:rA:10", Cost(both_serve_ms=100)),
        ("burst:20+handover@0.1", Cost(silence_ms=1, both_serve_ms=100)),
        ("move:rA:0+stop:agent:master:1@0.3", Cost(silence_ms=1, both_serve_ms=100)),
        ("burst:20+kill:agent:backup:0.3@0.1", Cost(both_serve_ms=100)),
        ("move:rA:0+crash:links:backup:1@0.3", Cost(silence_ms=100, both_serve_ms=472.3, parted=True)),
        ("burst:20+kill:keepalived:master:0@0.1", Cost(silence_ms=794.5, both_serve_ms=100)),
        ("move:rA:0+crash:kill:master:1@0.3", Cost(silence_ms=599.3, both_serve_ms=472.3, parted=True)),
        ("kill:conntrackd:master:1", Cost(both_serve_ms=100)),
        ("stop:agent:master:2", Cost(both_serve_ms=100)),
        ("stop:router:master:2", Cost(silence_ms=472.3, both_serve_ms=2150)),
        ("unplug:tier:master:1", Cost(both_serve_ms=100)),
        ("crash:kill:backup:1", Cost(silence_ms=0, both_serve_ms=472.3, parted=True)),
        ("crash:kill:master:1", Cost(silence_ms=472.3, both_serve_ms=472.3, parted=True)),
        ("crash:links:backup:1", Cost(silence_ms=100, both_serve_ms=472.3, parted=True)),
        ("reboot:backup", Cost()),
    ],
)
def test_what_may_cost_something(text: str, expected: Cost) -> None:
    (step,) = parse_steps(text)
    found = cost_of(step, ADVERTISEMENT_MS)
    assert (round(found.silence_ms, 1), round(found.both_serve_ms, 1), found.parted) == (
        expected.silence_ms,
        expected.both_serve_ms,
        expected.parted,
    )
