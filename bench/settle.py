"""The first settle of a large router: from a journal on disk to a machine that was looked at again.

Router, kernel, nftables and dnsmasq as they are, in a network namespace and below a directory of their own. The
router has no peer, so that no election takes part. Each round is a new router on a bare machine.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import samples
from bench.namespace import in_own_namespace
from bench.row import Reach, Row, side_by_side, timed
from vpcrouter import Router, Settings
from vpcrouter.commands import ChangePublicAddresses, Command, ConfigureRouter, PutReservation, PutTier, RemoveTier
from vpcrouter.state import State

_LEASES = 2_000


def rows(smoke: bool) -> Iterable[Row]:
    """A tier with many leases."""
    (ours,) = side_by_side(lambda: in_own_namespace(_first_settle), rounds=1 if smoke else 5)
    yield Row(what=f"{_LEASES:,} DHCP entries, first settle", ours=ours, reach=Reach(at_most=1_000))


def _first_settle() -> float:
    for device in ("eth1", "eth2"):
        subprocess.run(["ip", "link", "add", device, "type", "veth", "peer", "name", f"{device}-peer"], check=True)
    state = samples.state(reservation_count=_LEASES, redundant=False)
    with TemporaryDirectory() as directory:
        settings = Settings(root=directory)
        with Router.open(Path(directory) / "journal", settings=settings) as router:
            router.submit_many(_commands(state))
            took_ms = timed(lambda: router.settle(timeout=30))
            lines = (Path(settings.config_dir) / "dnsmasq.dhcp-hosts").read_text().splitlines()
            assert sum("02:00:00:00:" in line for line in lines) == _LEASES
            # Without a tier nothing runs any more.
            router.submit_many(RemoveTier(device=tier.device, network=tier.network) for tier in state.tiers.values())
            router.settle(timeout=30)
    return took_ms


def _commands(state: State) -> Iterator[Command]:
    assert state.router is not None
    yield ConfigureRouter(config=state.router)
    yield ChangePublicAddresses(put=tuple(state.public_addresses.values()))
    yield from (PutTier(tier=tier) for tier in state.tiers.values())
    yield from (PutReservation(reservation=each) for each in state.reservations.values())
