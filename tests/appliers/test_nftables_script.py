"""The texts for nft, word by word."""

from __future__ import annotations

from attrs import evolve

from vpcrouter.plan.nftables import change_script, remove_script, replace_script, ruleset_text
from vpcrouter.values.desired import NftChain, NftSet, Ruleset
from vpcrouter.values.traffic import Traffic

FORWARD = NftChain(
    name="forward",
    hook="type filter hook forward priority filter; policy drop;",
    rules=("ct state established accept", "iifname vmap @egress"),
)
ACL = NftChain(name="acl", rules=("tcp dport 22 accept",))
EGRESS = NftSet(name="egress", kind="map", spec="type ifname : verdict;", elements=(("eth2", "jump acl"),))
SERVING = NftSet(name="serving", kind="set", spec="type ifname;")
RULESET = Ruleset(table="vpc", sets=(EGRESS, SERVING), chains=(FORWARD, ACL))


def test_the_whole_table() -> None:
    assert ruleset_text(RULESET) == (
        "table inet vpc {\n"
        "\tmap egress {\n"
        "\t\ttype ifname : verdict;\n"
        "\t\telements = { eth2 : jump acl }\n"
        "\t}\n"
        "\n"
        "\tset serving {\n"
        "\t\ttype ifname;\n"
        "\t}\n"
        "\n"
        "\tchain forward {\n"
        "\t\ttype filter hook forward priority filter; policy drop;\n"
        "\t\tct state established accept\n"
        "\t\tiifname vmap @egress\n"
        "\t}\n"
        "\n"
        "\tchain acl {\n"
        "\t\ttcp dport 22 accept\n"
        "\t}\n"
        "}\n"
    )


def test_in_place_of_another() -> None:
    assert replace_script(RULESET) == "table inet vpc {\n}\ndelete table inet vpc\n" + ruleset_text(RULESET)


def test_nothing_when_nothing_differs() -> None:
    assert change_script(RULESET, RULESET) == ""
    reordered = evolve(RULESET, chains=(ACL, FORWARD), sets=(SERVING, EGRESS))
    assert change_script(RULESET, reordered) == ""


def test_one_rule_rewrites_its_chain() -> None:
    more = evolve(RULESET, chains=(FORWARD, evolve(ACL, rules=("udp dport 53 accept", *ACL.rules))))
    assert change_script(RULESET, more) == (
        "flush chain inet vpc acl\n"
        "table inet vpc {\n"
        "\tchain acl {\n"
        "\t\tudp dport 53 accept\n"
        "\t\ttcp dport 22 accept\n"
        "\t}\n"
        "}\n"
    )


def test_one_element_is_one_element() -> None:
    more = evolve(RULESET, sets=(EGRESS, evolve(SERVING, elements=(("eth2", ""), ("eth3", "")))))
    assert change_script(RULESET, more) == "add element inet vpc serving { eth2,\n\t\t\teth3 }\n"
    assert change_script(more, RULESET) == "delete element inet vpc serving { eth2,\n\t\t\teth3 }\n"


def test_a_new_value_takes_the_place_of_the_old_one() -> None:
    other = evolve(RULESET, sets=(evolve(EGRESS, elements=(("eth2", "drop"),)), SERVING))
    assert change_script(RULESET, other) == (
        "delete element inet vpc egress { eth2 }\nadd element inet vpc egress { eth2 : drop }\n"
    )


def test_what_goes_is_unreferenced_first_and_what_comes_is_declared_before_it_is_used() -> None:
    new_acl = NftChain(name="acl_new", rules=("drop",))
    new = evolve(RULESET, sets=(evolve(EGRESS, elements=(("eth2", "jump acl_new"),)),), chains=(FORWARD, new_acl))
    assert change_script(RULESET, new) == (
        "flush chain inet vpc acl\n"
        "delete element inet vpc egress { eth2 }\n"
        "table inet vpc {\n"
        "\tchain acl_new {\n"
        "\t\tdrop\n"
        "\t}\n"
        "}\n"
        "add element inet vpc egress { eth2 : jump acl_new }\n"
        "delete set inet vpc serving\n"
        "delete chain inet vpc acl\n"
    )


def test_what_cannot_be_changed_in_place_replaces_the_table() -> None:
    for changed in (
        evolve(RULESET, chains=(evolve(FORWARD, hook=FORWARD.hook.replace("drop", "accept")), ACL)),
        evolve(RULESET, sets=(EGRESS, evolve(SERVING, spec="type ifname; flags interval;"))),
        evolve(RULESET, sets=(EGRESS, evolve(SERVING, kind="map", spec="type ifname : verdict;"))),
    ):
        assert change_script(RULESET, changed) == replace_script(changed)


def test_another_table_s_name_takes_the_old_one_away() -> None:
    renamed = evolve(RULESET, table="other")
    assert change_script(RULESET, renamed) == remove_script("vpc") + replace_script(renamed)


def test_a_counter_comes_first_and_goes_last_and_is_not_touched_meanwhile() -> None:
    one, other = evolve(RULESET, counters=("in_eth2", "in_eth3")), evolve(RULESET, counters=("in_eth3", "in_eth4"))
    assert change_script(one, other) == (
        "table inet vpc {\n\tcounter in_eth4 {\n\t}\n}\ndelete counter inet vpc in_eth2\n"
    )
    counted = {"in_eth2": Traffic(packets=2, bytes=99)}
    blocks = "\tcounter in_eth2 {\n\t\tpackets 2 bytes 99\n\t}\n\n\tcounter in_eth3 {\n\t}\n"
    assert blocks in replace_script(one, counted)
    replaced = evolve(one, sets=(EGRESS, evolve(SERVING, spec="type ifname; flags interval;")))
    assert change_script(one, replaced, counted) == replace_script(replaced, counted)
