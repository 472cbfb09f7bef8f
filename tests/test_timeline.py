"""The picture of what happened: well formed, self-contained, and everything recorded is in it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from vpcrouter.timeline import WIDTH, Deed, Mark, Recording, RoleSpan, Silence, draw, width_of

RECORDING = Recording(
    title="two <routers> & a crash",
    length_s=20.0,
    deeds=tuple(Deed(start_s=number, end_s=number + 0.5, what=f'deed "{number}"') for number in range(20)),
    roles={
        "rA": (RoleSpan(start_s=0, end_s=8, role="master"), RoleSpan(start_s=8, end_s=20, role="gone")),
        "rB": (RoleSpan(start_s=0, end_s=8, role="backup"), RoleSpan(start_s=8, end_s=20, role="master")),
    },
    marks={"rA": (Mark(at_s=3, what="keepalived: reloads"),), "rB": ()},
    commands={"rA": (Mark(at_s=2.5, what="15 commands"),)},
    both_serve=((7.9, 8.1),),
    silences={
        "vm2 probes": (Silence(start_s=8, length_ms=312, lost=312, cause="crash"),),
        "vm3 probes": (Silence(start_s=9, length_ms=0.7, lost=1),),
    },
)


def elements(recording: Recording) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(draw(recording)).iter())  # noqa: S314 - our own text


def test_everything_recorded_is_in_it() -> None:
    text = " ".join(each.text or "" for each in elements(RECORDING))
    for wanted in ("two <routers> & a crash", 'deed "7"', "rA master", "rB backup", "rA gone", "312 ms", "(crash)"):
        assert wanted in text
    assert "keepalived: reloads at 3.00 s" in text
    assert "15 commands at 2.50 s" in text
    assert "both serve for 200 ms at 7.90 s" in text
    assert "1 lost in 0.7 ms (no cause) at 9.00 s" in text
    assert "lost without a cause" in text


def test_lanes_that_nobody_filled_are_not_drawn() -> None:
    text = draw(Recording(title="", length_s=1, roles={"rA": ()}, marks={}, silences={}))
    for absent in ("both serve", "probes</text>", "without a cause", ">commands<"):
        assert absent not in text


def test_it_needs_nothing_else_and_stays_on_its_page() -> None:
    for each in elements(RECORDING):
        assert not [name for name in each.attrib if "href" in name]
        if each.tag.endswith("rect"):
            assert float(each.get("x", "0")) + float(each.get("width", "0")) <= width_of(RECORDING) + 0.5


def test_labels_of_deeds_do_not_cover_each_other() -> None:
    drawn = [each for each in elements(RECORDING) if (each.text or "").startswith("deed") and each.tag.endswith("text")]
    assert len(drawn) == 20
    places = [(each.get("y"), float(each.get("x", "0"))) for each in drawn]
    assert all(
        abs(one[1] - other[1]) >= 40 for one in places for other in places if one is not other and one[0] == other[0]
    )


@pytest.mark.parametrize("length_s", [0.0, 0.3, 7200.0])
def test_any_length_can_be_drawn(length_s: float) -> None:
    empty = Recording(title="", length_s=length_s, roles={"rA": ()}, marks={}, silences={})
    assert elements(empty)
    assert (width_of(empty) > WIDTH) == (length_s > 100)
