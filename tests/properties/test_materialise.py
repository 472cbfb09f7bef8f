"""What must hold of everything that is materialised, whatever the state."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import acl_rules, additive_commands, any_command
from vpcrouter.commands import Command
from vpcrouter.decide import decide
from vpcrouter.errors import MalformedInputError, RejectedCommandError
from vpcrouter.materialise import chunks, materialise
from vpcrouter.materialise.acl import egress_chains, ingress_chains, rule_texts
from vpcrouter.materialise.chunks import CUT_ABOVE
from vpcrouter.plan.nftables import replace_script
from vpcrouter.render import render_files
from vpcrouter.state import Draft, State
from vpcrouter.values.config import AclRule
from vpcrouter.values.desired import Daemon, Desired, NftChain
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

UNICAST_PEERS = tuple(f"10.1.{tier}.{host}" for tier in range(2, 10) for host in range(2, 5))
NO_MAPPINGS = ("router", "released", "bgp_peerings", "balancer", "monitoring")
MAPPINGS = [field.name for field in attrs.fields(State) if field.name not in NO_MAPPINGS]


def state_of(stream: list[Command]) -> State:
    """The state after the stream; refused commands are passed over."""
    draft = Draft(State())
    for command in stream:
        try:
            decision = decide(draft, command)
        except RejectedCommandError:
            continue
        if decision.event is not None:
            draft.apply(decision.event)
    return draft.finish()


def desired(state: State, role: Role = Role.MASTER) -> Desired:
    return materialise(state, role, Settings())


built = st.lists(any_command, max_size=12).map(lambda stream: state_of([*additive_commands(2), *stream]))
states = st.lists(any_command, max_size=30).map(state_of) | built


@given(states)
def test_the_order_in_which_things_came_does_not_show(state: State) -> None:
    reversed_mappings: dict[str, Any] = {name: dict(reversed(list(getattr(state, name).items()))) for name in MAPPINGS}
    backwards = attrs.evolve(state, **reversed_mappings)
    assert render_files(desired(state)) == render_files(desired(backwards))


def _without_priorities(daemon: Daemon) -> tuple[str, list[str]]:
    return daemon.name, [re.sub(r"^    priority \d+$", "", file.content, flags=re.MULTILINE) for file in daemon.files]


ON_MASTER = ("charon-systemd", "xl2tpd")
"""Daemons that run only where the public addresses are."""


@given(states)
def test_the_role_shows_in_one_flag_and_the_priorities_only(state: State) -> None:
    master, backup = desired(state), desired(state, Role.BACKUP)
    assert [_without_priorities(each) for each in master.daemons if each.name not in ON_MASTER] == [
        _without_priorities(each) for each in backup.daemons
    ]
    assert not {each.name for each in backup.daemons} & {*ON_MASTER}
    assert master.ruleset == backup.ruleset
    assert attrs.evolve(master.kernel, serving=False) == backup.kernel


@given(states)
def test_on_a_redundant_router_everything_shared_is_keepalived_s(state: State) -> None:
    found = desired(state)
    if state.router is None or not state.router.redundant:
        assert not found.kernel.virtual_addresses
        assert not found.kernel.virtual_routes
        assert "keepalived" not in {daemon.name for daemon in found.daemons}
        return
    shared = {*state.public_addresses, *(tier.gateway for tier in state.tiers.values())}
    assert not shared & {each.address.partition("/")[0] for each in found.kernel.addresses}
    text = render_files(found).get("keepalived.conf", "")
    for each in found.kernel.virtual_addresses if state.tiers else ():
        assert f" {each.address} dev {each.device}" in text
    for route in found.kernel.virtual_routes if state.tiers else ():
        assert f" {route.network} via {route.gateway} dev {route.device} " in text


@given(states)
def test_every_chain_that_is_jumped_to_is_there_and_none_is_left_over(state: State) -> None:
    found = desired(state).ruleset
    names = [chain.name for chain in found.chains]
    assert len(names) == len(set(names))
    words = [rule for chain in found.chains for rule in chain.rules]
    words += [value for each in found.sets for _, value in each.elements]
    jumped = {word.rpartition("jump ")[2] for word in words if "jump " in word}
    hooked = {chain.name for chain in found.chains if chain.hook}
    assert jumped <= set(names)
    assert set(names) - hooked - jumped <= {"from_control", "to_public", "from_guest"}
    for each in found.sets:
        assert len({key for key, _ in each.elements}) == len(each.elements), f"{each.name} has a key twice"


# A long ACL in chunks -----------------------------------------------------------------------------

ports = st.integers(1, 400)
many_rules = st.lists(
    st.builds(
        lambda port, allowed, source: AclRule(
            protocol="tcp", first_port=port, last_port=port, allowed=allowed, networks=(source,)
        ),
        ports,
        st.booleans(),
        st.sampled_from(["0.0.0.0/0", "198.51.100.0/24", "192.0.2.0/24"]),
    ),
    min_size=CUT_ABOVE - 2,
    max_size=700,
)


def first_verdict(chains: Mapping[str, NftChain], name: str, matching: set[str]) -> str | None:
    """Walk a chain as the kernel does, for a packet that matches these rules: the first verdict, None at its end."""
    for rule in chains[name].rules:
        if rule.startswith("jump "):
            if (verdict := first_verdict(chains, rule.removeprefix("jump "), matching)) is not None:
                return verdict
        elif rule in ("accept", "drop") or rule in matching:
            return rule.rpartition(" ")[2]
    return None


@settings(max_examples=40)
@given(many_rules, st.data())
def test_a_packet_meets_the_same_first_rule_in_chunks_and_in_the_flat_list(
    rules: list[AclRule], data: st.DataObject
) -> None:
    chains = {chain.name: chain for chain in ingress_chains("ingress_eth2", rules)}
    flat = [text for rule in rules for text in rule_texts(rule, "saddr")]
    matching = set(data.draw(st.lists(st.sampled_from(flat), max_size=4)))
    expected = next((text.rpartition(" ")[2] for text in flat if text in matching), "drop")
    assert first_verdict(chains, "ingress_eth2", matching) == expected


@settings(max_examples=20)
@given(st.integers(0, 3000), ports)
def test_one_rule_more_changes_a_few_small_chains(position: int, port: int) -> None:
    rules = [AclRule(protocol="udp", first_port=n, last_port=n, networks=("198.51.100.0/24",)) for n in range(1, 3001)]
    more = [
        *rules[:position],
        AclRule(protocol="tcp", first_port=port, last_port=port, networks=("::/0",)),
        *rules[position:],
    ]
    before = {chain.name: chain for chain in egress_chains("egress_eth2", rules, routed=False)}
    after = {chain.name: chain for chain in egress_chains("egress_eth2", more, routed=False)}
    changed = [after[name] for name in after if after[name] != before.get(name)]
    assert len(changed) <= 6
    assert sum(len(chain.rules) for chain in changed if chain.name != "egress_eth2") <= 3 * 128


@pytest.mark.slow
@settings(max_examples=60)
@given(many_rules, st.lists(st.tuples(st.integers(0, 800), st.integers(0, 400), many_rules), max_size=4))
def test_a_list_that_was_cut_before_comes_out_as_if_it_were_cut_from_nothing(
    rules: list[AclRule], edits: list[tuple[int, int, list[AclRule]]]
) -> None:
    for at, gone, put in edits:
        ingress_chains("ingress_eth2", rules)
        rules = [*rules[:at], *put[: at % 7], *rules[at + gone :]]
        again = ingress_chains("ingress_eth2", rules)
        chunks._cuts.clear()
        assert again == ingress_chains("ingress_eth2", rules)


@given(st.lists(acl_rules, max_size=5))
def test_every_rule_has_one_verdict_and_no_more_than_one_text_for_each_family(rules: list[AclRule]) -> None:
    for rule in rules:
        texts = list(rule_texts(rule, "saddr"))
        assert 1 <= len(texts) <= 2
        assert all(text.rpartition(" ")[2] == ("accept" if rule.allowed else "drop") for text in texts)


# Hostile values -----------------------------------------------------------------------------------

HOSTILE = (
    "x\nvrrp_script evil {",
    'a"; drop; "',
    "10.1.2.11 } accept {",
    "10.1.2.11,infinite",
    "-x",
    "a#b",
    "$(reboot)",
    "`reboot`",
    "a\\b",
    "{{ 7 * 7 }}",
    "é",
    "",
    "\0",
)


def poisoned(value: Any, hostile: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """The value once for each text in it, with that text replaced and nobody asked."""
    if isinstance(value, str):
        yield path, hostile
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for where, changed in poisoned(item, hostile, f"{path}[{index}]"):
                yield where, (*value[:index], changed, *value[index + 1 :])
    elif isinstance(value, dict):
        for key, item in value.items():
            for where, changed in poisoned(item, hostile, f"{path}[{key}]"):
                yield where, {**value, key: changed}
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            for where, changed in poisoned(getattr(value, field.name), hostile, f"{path}.{field.name}"):
                unchecked = copy.copy(value)
                object.__setattr__(unchecked, field.name, changed)
                yield where, unchecked


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
def test_no_value_can_leave_its_field_even_if_nobody_checked_it(hostile: str) -> None:
    """Every single text of a whole state in turn: it is refused, or it does not stand in any generated file."""
    state = state_of(additive_commands(2))
    harmless = {name: content.count("\n") for name, content in render_files(desired(state)).items()}
    tried = 0
    for where, bad in poisoned(state, hostile):
        tried += 1
        try:
            files = dict(render_files(desired(bad)))
        except (MalformedInputError, ValueError):
            continue
        del files["kernel.json"]  # JSON quotes whatever it holds
        assert not (hostile and any(hostile in content for content in files.values())), where
        assert all(content.count("\n") <= harmless[name] for name, content in files.items()), where
    assert tried > 100


# The real programs --------------------------------------------------------------------------------


def succeeds(*argv: str, text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + text


@pytest.mark.lab
@pytest.mark.slow
@settings(max_examples=40)
@given(built, st.sampled_from([(), UNICAST_PEERS]))
def test_nft_loads_every_ruleset(state: State, unicast_peers: tuple[str, ...]) -> None:
    found = materialise(state, Role.MASTER, Settings(unicast_peers=unicast_peers))
    succeeds("unshare", "--net", "nft", "-f", "-", text=replace_script(found.ruleset))


@pytest.mark.lab
@pytest.mark.slow
@settings(max_examples=15)
@given(built, st.sampled_from([(), UNICAST_PEERS]), st.sampled_from(["none", "ah"]))
def test_the_daemons_accept_every_file(
    tmp_path_factory: pytest.TempPathFactory, state: State, unicast_peers: tuple[str, ...], proof: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    settings = Settings(
        root=str(root), unicast_peers=unicast_peers, vrrp_authentication=proof, advertisement_interval_ms=1000
    )
    found = materialise(state, Role.MASTER, settings)
    for file in (file for daemon in found.daemons for file in daemon.files):
        Path(file.path).parent.mkdir(parents=True, exist_ok=True)
        Path(file.path).write_text(file.content)
    directory = root / "etc/vpcrouter"
    if (directory / "keepalived.conf").exists():
        succeeds("unshare", "--net", "keepalived", "--config-test", "-f", str(directory / "keepalived.conf"))
    succeeds("dnsmasq", "--test", f"--conf-file={directory / 'dnsmasq.conf'}")
    if (directory / "radvd.conf").exists():
        succeeds("radvd", "--configtest", f"--config={directory / 'radvd.conf'}")
