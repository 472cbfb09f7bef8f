"""What must hold for every stream of commands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import additive_commands, any_command, as_the_peer_gets_it, port_forwards
from vpcrouter import commands, events
from vpcrouter.beginnings import pack_history, unpack_history
from vpcrouter.contradictions import forward_and_forward
from vpcrouter.decide import decide
from vpcrouter.errors import RejectedCommandError
from vpcrouter.events.codec import decode, encode
from vpcrouter.projections.digest import digest
from vpcrouter.projections.effective import effective, pending
from vpcrouter.projections.listing import listing
from vpcrouter.projections.things import shared_things
from vpcrouter.revert import commands_between
from vpcrouter.state import Draft, State, evolve, replay
from vpcrouter.state_codec import pack_state, unpack_state
from vpcrouter.undo import undo
from vpcrouter.values import networks
from vpcrouter.values.config import PortForward
from vpcrouter.values.forwarding import forward_key

streams = st.lists(any_command, max_size=40)


def run(stream: list[commands.Command]) -> tuple[State, list[events.Event]]:
    """The state after the stream, and the events that made it; refused commands are passed over."""
    state, history = State(), []
    for command in stream:
        try:
            decision = decide(state, command)
        except RejectedCommandError:
            continue
        if decision.event is not None:
            state = evolve(state, decision.event)
            history.append(decision.event)
    return state, history


@given(streams)
def test_a_command_is_true_once_it_was_accepted(stream: list[commands.Command]) -> None:
    state = State()
    for command in stream:
        try:
            decision = decide(state, command)
        except RejectedCommandError:
            continue
        if decision.event is not None:
            changed = evolve(state, decision.event)
            assert changed != state, "an event that changes nothing was stored"
            state = changed
        assert decide(state, command).event is None, "the same command again is unchanged"


@given(streams)
def test_replay_from_bytes_gives_the_same_state_and_digest(stream: list[commands.Command]) -> None:
    state, history = run(stream)
    again = replay(State(), [decode(encode(event)) for event in history])
    assert again == state
    assert digest(again) == digest(state)


@given(streams, st.integers(0, 40))
def test_a_draft_does_not_reach_into_what_it_handed_out(stream: list[commands.Command], cut: int) -> None:
    _, history = run(stream)
    draft = Draft(State())
    for event in history[:cut]:
        draft.apply(event)
    early = draft.finish()
    for event in history[cut:]:
        draft.apply(event)
    assert early == replay(State(), history[:cut])
    assert draft.finish() == replay(State(), history)


@given(streams)
def test_no_accepted_state_contradicts_itself(stream: list[commands.Command]) -> None:
    state, _ = run(stream)
    tiers = list(state.tiers.values())
    for index, tier in enumerate(tiers):
        assert state.router is None or networks.covers(state.router.vpc_network, tier.network)
        assert not any(networks.overlap(tier.network, other.network) for other in tiers[index + 1 :])
        assert not any(networks.overlap(tier.network, route.network) for route in state.routes.values())
        assert tier.gateway not in state.reservations
        assert tier.address not in {each.address for found in effective(state).reservations.values() for each in found}
    assert not {a for a, found in state.forwards.items() if found} & set(state.static_nats)
    assert all(state.forwards.values()), "an address without forwardings is not kept"
    targets = [nat.target for nat in state.static_nats.values()]
    assert len(targets) == len(set(targets))
    assert {each.mac: address for address, each in state.reservations.items()} == state.leases
    assert not state.released & set(state.tiers)


@given(streams)
def test_everything_is_effective_or_pending(stream: list[commands.Command]) -> None:
    state, _ = run(stream)
    found = effective(state)
    stored = (
        len(state.acls)
        + sum(len(each) for each in state.forwards.values())
        + len(state.static_nats)
        + len(state.routes)
        + len(state.reservations)
        + len(state.firewall_rules)
        + len(state.ipv6_firewall_rules)
        + len(state.guest_pages)
        + len(state.site_vpns)
        + len(state.remote_accesses)
        + (len(state.balancer.listeners) if state.balancer is not None else 0)
    )
    working = (
        len(found.acls)
        + len(found.forwards)
        + len(found.static_nats)
        + len(found.routes)
        + sum(len(each) for each in found.reservations.values())
        + len(found.firewall_rules)
        + len(found.ipv6_firewall_rules)
        + len(found.guest_pages)
        + len(found.site_vpns)
        + (found.remote_access is not None)
        + len(found.balancer_rules)
        + len(found.statistics_pages)
    )
    # A neighbour is spoken to while some of its tiers are not there.
    not_counted = ("everything", "source NAT", "password of", "BGP neighbour")
    waiting = [each for each in pending(state) if not each.what.startswith(not_counted)]
    assert stored == working + len(waiting)
    assert "1029137816800961" not in str(listing(state))


@given(st.lists(port_forwards, max_size=8), st.lists(port_forwards, max_size=8))
def test_forwardings_are_refused_exactly_if_two_of_them_meet(
    first: list[PortForward], second: list[PortForward]
) -> None:
    state = State()
    for put in (first, second):
        replaced = {forward_key(each) for each in put}
        kept = [each for found in state.forwards.values() for each in found if forward_key(each) not in replaced]
        wanted = [*kept, *dict.fromkeys(put)]
        meets = any(
            forward_and_forward(one, other) is not None
            for number, one in enumerate(wanted)
            for other in wanted[number + 1 :]
        )
        try:
            decision = decide(state, commands.ChangePortForwards(put=tuple(put)))
        except RejectedCommandError:
            assert meets
            continue
        assert not meets
        if decision.event is not None:
            state = evolve(state, decision.event)
        assert sorted(map(str, wanted)) == sorted(str(each) for found in state.forwards.values() for each in found)


@given(st.permutations(additive_commands(2)), st.permutations(additive_commands(3)))
@settings(max_examples=60)
def test_two_routers_that_got_the_commands_in_different_orders_agree(
    first: list[commands.Command], second: list[commands.Command]
) -> None:
    one, _ = run(first)
    other, _ = run(second)
    assert digest(one) == digest(other)
    assert one != other, "their own addresses differ, or the digest proves nothing"
    assert pending(one) == pending(other) == ()


@given(streams)
def test_two_routers_that_got_the_same_commands_agree_on_each(stream: list[commands.Command]) -> None:
    """Also on those that name an address that only one of them has as its own."""
    states = [State(), State()]
    for command in stream:
        answers = []
        for index, each in enumerate((command, as_the_peer_gets_it(command))):
            try:
                event = decide(states[index], each).event
            except RejectedCommandError as error:
                answers.append(f"rejected {error}")
                continue
            answers.append("unchanged" if event is None else "accepted")
            states[index] = states[index] if event is None else evolve(states[index], event)
        assert answers[0] == answers[1]
        assert digest(states[0]) == digest(states[1])


@given(st.permutations(additive_commands(2)), st.data())
@settings(max_examples=40)
def test_every_command_of_a_burst_counts(stream: list[commands.Command], data: st.DataObject) -> None:
    """The digest sees everything: a router that missed one command has another one (growing lists aside)."""
    whole, _ = run(stream)
    missed = data.draw(st.sampled_from([c for c in stream if not isinstance(c, commands.ChangePortForwards)]))
    partial, _ = run([command for command in stream if command is not missed])
    assert digest(partial) != digest(whole)


@given(streams)
def test_a_removed_tier_leaves_nothing_to_its_successor(stream: list[commands.Command]) -> None:
    state, _ = run(stream)
    for tier in list(state.tiers.values()):
        decision = decide(state, commands.RemoveTier(device=tier.device, network=tier.network))
        assert decision.event is not None
        after = evolve(state, decision.event)
        assert tier.device not in after.tiers
        assert tier.device not in after.acls
        told = (*after.reservations, *after.guest_pages, *after.guest_passwords)
        assert not any(networks.holds(tier.network, address) for address in told)
        assert tier.device in after.released
        waiting = {str(each) for each in pending(after)}
        assert set(decision.pending) <= waiting


@given(streams)
def test_a_state_survives_a_snapshot(stream: list[commands.Command]) -> None:
    state, _ = run(stream)
    assert unpack_state(pack_state(state)) == state


@given(streams, st.integers(0, 40))
def test_a_revert_brings_back_what_was(stream: list[commands.Command], cut: int) -> None:
    now, history = run(stream)
    then = replay(State(), history[:cut])
    if then.router is None and now.router is not None:
        with pytest.raises(RejectedCommandError):
            commands_between(now, then)
        return
    draft = Draft(now)
    for command in commands_between(now, then):
        decision = decide(draft, command)
        if decision.event is not None:
            draft.apply(decision.event)
    after = draft.finish()
    assert digest(after) == digest(then)
    # What a guest has fetched since is not handed out again.
    apart = {"released_devices": None, "guest_passwords": None}
    assert {**listing(after), **apart} == {**listing(then), **apart}
    for address, found in then.guest_passwords.items():
        before = now.guest_passwords.get(address)
        was_fetched = before is not None and before.fetched and before.password == found.password
        assert after.guest_passwords[address].fetched == (found.fetched or was_fetched)
    assert all(decide(after, command).event is None for command in commands_between(after, then))


@given(streams, streams)
def test_the_things_of_two_routers_differ_where_their_digests_do(
    one_stream: list[commands.Command], other_stream: list[commands.Command]
) -> None:
    (one, _), (other, _) = run(one_stream), run([*one_stream, *other_stream])
    mine, theirs = shared_things(one, b"key"), shared_things(other, b"key")
    assert (mine == theirs) is (digest(one) == digest(other))
    guessed = shared_things(one, b"another key")
    assert all(guessed[thing] != mine[thing] for thing in mine), "who has not the key can try nothing"
    for config in (state.router for state in (one, other) if state.router is not None):
        secrets = [config.password, *(secret for _, secret in config.secret_parameters)]
        names = {each.key for each in (*mine, *theirs)}
        assert not [each for each in secrets if each is not None and each.reveal() in names]


@given(streams, st.integers(0, 40))
def test_a_change_upon_which_nothing_came_is_undone_wholly(stream: list[commands.Command], cut: int) -> None:
    now, history = run(stream)
    before = replay(State(), history[:cut])
    if before.router is None and now.router is not None:
        return  # the first boot parameters cannot be taken back
    undone = undo(now, before=before, after=now)
    assert undone.kept == ()
    assert digest(replay(now, undone.events)) == digest(before)
    assert undo(before, before=before, after=now).events == ()


@given(streams)
def test_a_state_has_a_history_of_its_own(stream: list[commands.Command]) -> None:
    """What a journal begins with whose older records are elsewhere leads to all of the state."""
    state, _ = run(stream)
    assert unpack_history(pack_history(state)) == state
