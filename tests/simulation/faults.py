"""Faults that routers of this kind have had, as switches of the code under simulation: one at a time.

Each makes the real code do what somebody's router once did; `tests/simulation/test_historical_faults.py` lets the
simulator find it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import pytest
from attrs import evolve

from vpcrouter.appliers import _daemon_kinds
from vpcrouter.events import RoleChanged
from vpcrouter.host import Host
from vpcrouter.journal import Journal, Snapshot
from vpcrouter.machines.carriage import CarriageMachine
from vpcrouter.machines.readiness import ConnectionComparison
from vpcrouter.machines.role import Report
from vpcrouter.materialise.nftables import TABLE
from vpcrouter.past import replay
from vpcrouter.router import Router
from vpcrouter.state_codec import pack_state
from vpcrouter.values.fields import device_number
from vpcrouter.values.role import Role

# The package has functions of these names.
keepalived: Any = import_module("vpcrouter.materialise.keepalived")
election: Any = import_module("vpcrouter.materialise.election")


def restart_instead_of_reload(patch: pytest.MonkeyPatch) -> None:
    """Every change of keepalived's file is a restart."""
    patch.setattr(_daemon_kinds, "KEEPALIVED", evolve(_daemon_kinds.KEEPALIVED, can_reload=False))


def lists_that_differ(patch: pytest.MonkeyPatch) -> None:
    """The real addresses are advertised, so routers of different configurations do not hear each other."""
    make = keepalived.instances

    def instances(*args: Any) -> tuple[Any, ...]:
        return tuple(evolve(each, advertised=(*each.advertised, *each.carried), carried=()) for each in make(*args))

    patch.setattr(keepalived, "instances", instances)


def carrier_moved_before_the_elector_is_up(patch: pytest.MonkeyPatch) -> None:
    """The list goes to the lowest tier's instance as soon as there is one."""
    patch.setattr(CarriageMachine, "_may_move", lambda *_: True)


def elector_dropped_without_a_hold(patch: pytest.MonkeyPatch) -> None:
    """With a tier its elector goes, whatever the peer does there."""
    decide = CarriageMachine.next
    patch.setattr(CarriageMachine, "next", lambda *args, **words: evolve(decide(*args, **words), held=()))


def acknowledged_before_it_is_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    """The sync is left to the system."""

    def write(journal: Any, data: bytes) -> None:
        journal._disk.write(journal._fd, data, journal._size)

    patch.setattr(Journal, "_write", write)


def file_rewritten_in_place(patch: pytest.MonkeyPatch) -> None:
    """A save empties the file and writes all of it again."""

    def write(journal: Any, data: bytes) -> None:
        before = os.pread(journal._fd, journal._size, 0)
        journal._disk.truncate(journal._fd, 0)
        journal._disk.write(journal._fd, before + data, 0)
        journal._disk.sync_data(journal._fd)

    patch.setattr(Journal, "_write", write)


def addresses_removed_by_file_order(patch: pytest.MonkeyPatch) -> None:
    """The instances stand in the file by number, wherever the carrier is."""
    elect = election.elect

    def by_number(*args: Any) -> Any:
        found = elect(*args)
        if found is None:
            return None
        return evolve(found, electors=tuple(sorted(found.electors, key=lambda each: device_number(each.device))))

    patch.setattr("vpcrouter.materialise.elect", by_number)


def sync_group_instead_of_electors(patch: pytest.MonkeyPatch) -> None:
    """All instances are one group."""
    render = keepalived.render

    def with_group(template: str, /, **values: Any) -> str:
        members = "".join(f"        {each.name}\n" for each in values["instances"])
        return str(render(template, **values)) + f"vrrp_sync_group all {{\n    group {{\n{members}    }}\n}}\n"

    patch.setattr(keepalived, "render", with_group)


def role_restored_from_the_journal(patch: pytest.MonkeyPatch) -> None:
    """A router that was master when it was switched off is master when it is switched on."""
    begin = Router.__init__

    def restore(router: Any, *args: Any) -> None:
        begin(router, *args)
        roles = [record.event.role for record in router.journal.records() if isinstance(record.event, RoleChanged)]
        if roles:
            router._roles.observe(Report.of_role(roles[-1]))

    patch.setattr(Router, "__init__", restore)


def stale_snapshot_accepted(patch: pytest.MonkeyPatch) -> None:
    """A snapshot of the state before the last command bears the number of that command."""
    snapshot = Router.snapshot

    def stale(router: Router) -> Snapshot:
        taken = snapshot(router)
        commands = [each.seq for each in router.journal.records() if not isinstance(each.event, RoleChanged)]
        past = replay(router.journal.directory, until=max(commands[-1] - 1, 0))
        return evolve(taken, body=pack_state(past.state), digest=past.digest)

    patch.setattr(Router, "snapshot", stale)


def ready_without_the_old_connections(patch: pytest.MonkeyPatch) -> None:
    """A backup is ready as soon as conntrackd runs, and nobody asks for what was open before."""
    for name in ("resync_connections", "share_connections"):
        patch.setattr(Host, name, lambda _: None)
    patch.setattr(ConnectionComparison, "is_in_step", True)
    patch.setattr(ConnectionComparison, "missing", 0)


def ipv6_gateways_are_the_agents(patch: pytest.MonkeyPatch) -> None:
    """Keepalived has the IPv4 addresses only; the others follow by way of the agent."""
    make = keepalived.instances

    def instances(*args: Any) -> tuple[Any, ...]:
        return tuple(
            evolve(each, carried=tuple(address for address in each.carried if ":" not in address.address))
            for each in make(*args)
        )

    patch.setattr(keepalived, "instances", instances)


def addresses_put_by_the_agent_of_a_new_master(patch: pytest.MonkeyPatch) -> None:
    """A backup's keepalived has no addresses: they come when its agent has heard of the role."""
    make = keepalived.instances

    def instances(config: Any, placement: Any, election: Any, role: Role) -> tuple[Any, ...]:
        made = make(config, placement, election, role)
        return made if role is not Role.BACKUP else tuple(evolve(each, carried=(), routes=()) for each in made)

    patch.setattr(keepalived, "instances", instances)


def rules_flushed_at_the_start(patch: pytest.MonkeyPatch) -> None:
    """An agent that starts removes all rules before it loads its own, whoever serves."""
    begin = Host.__init__

    def flush(host: Host, *args: Any) -> None:
        begin(host, *args)
        host._nftables.remove(TABLE)

    patch.setattr(Host, "__init__", flush)


def rules_follow_the_role(patch: pytest.MonkeyPatch) -> None:
    """Only the ruleset of a router whose agent knows that it serves lets packets out."""
    make = import_module("vpcrouter.materialise").materialise

    def materialise(state: Any, role: Role, *rest: Any) -> Any:
        made = make(state, role, *rest)
        if role is Role.MASTER:
            return made
        sets = (evolve(each, elements=()) if each.name == "entering" else each for each in made.ruleset.sets)
        return evolve(made, ruleset=evolve(made.ruleset, sets=tuple(sets)))

    patch.setattr("vpcrouter.agent.planning.materialise", materialise)


FAULTS: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    each.__name__: each
    for each in (
        restart_instead_of_reload,
        lists_that_differ,
        carrier_moved_before_the_elector_is_up,
        elector_dropped_without_a_hold,
        acknowledged_before_it_is_on_the_disk,
        file_rewritten_in_place,
        addresses_removed_by_file_order,
        sync_group_instead_of_electors,
        role_restored_from_the_journal,
        stale_snapshot_accepted,
        ready_without_the_old_connections,
        ipv6_gateways_are_the_agents,
        addresses_put_by_the_agent_of_a_new_master,
        rules_flushed_at_the_start,
        rules_follow_the_role,
    )
}
