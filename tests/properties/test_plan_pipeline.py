"""Whatever commands come, a real kernel follows them step by step, and ends as if it had got all at once."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.appliers.kernels import RealKernel, settle
from tests.appliers.private_network import private_network
from tests.strategies import any_command
from vpcrouter.appliers.nftables import NftablesApplier
from vpcrouter.commands import Command
from vpcrouter.decide import decide
from vpcrouter.errors import RejectedCommandError
from vpcrouter.materialise import materialise
from vpcrouter.plan.kernel import plan_kernel, repair_virtual
from vpcrouter.state import State, evolve
from vpcrouter.values.desired import Desired
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

_SETTINGS = Settings()
_ROLES = st.sampled_from([Role.BACKUP, Role.MASTER])
_STEPS = st.lists(st.tuples(_ROLES, st.lists(any_command, max_size=6)), min_size=1, max_size=5)


def _desired(steps: list[tuple[Role, list[Command]]]) -> list[Desired]:
    """What is desired after each step; refused commands are passed over."""
    state, desired = State(), []
    for role, step in steps:
        for command in step:
            try:
                event = decide(state, command).event
            except RejectedCommandError:
                continue
            if event is not None:
                state = evolve(state, event)
        desired.append(materialise(state, role, _SETTINGS))
    return desired


@pytest.mark.lab
@pytest.mark.slow
@given(steps=_STEPS)
@settings(max_examples=12, deadline=None)
def test_the_kernel_follows_any_commands_in_any_steps(steps: list[tuple[Role, list[Command]]]) -> None:
    with private_network() as network:
        kernel = RealKernel(network)
        applier = network.do(NftablesApplier)
        for number in range(10):
            kernel.plug(f"eth{number}")
        for desired in _desired(steps):
            settle(kernel, desired.kernel)
            kernel.apply(repair_virtual(desired.kernel, kernel.observe(desired.kernel)))
            plan = plan_kernel(desired.kernel, kernel.observe(desired.kernel))
            assert (plan.early, plan.late, plan.awaited) == ((), (), ())
            assert plan.missing_sysctls == ()
            assert not network.do(partial(applier.settle, desired.ruleset)).drift
            assert network.do(partial(applier.verify, desired.ruleset, full=True)) == ()
        applier.close()
        kernel.close()
