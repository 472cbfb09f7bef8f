"""The talk with the other routers: what it is told and when, and what follows from what it says.

Used by `loop`, which owns the router and does what is asked for here (`Follows`). The wire is `peering`; what is
compared is `standby` and `disagreement`, how the service changes hands `machines.handover`. Nothing of a failover waits
for any of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor

from attrs import frozen

from vpcrouter.agent.contest import Contest, Verdict
from vpcrouter.agent.guests import Guests
from vpcrouter.agent.planning import Planning
from vpcrouter.agent.settlements import Settlements
from vpcrouter.agent.weighing import Weighing
from vpcrouter.disagreement import Disagreement
from vpcrouter.errors import HostError
from vpcrouter.fitness import Fitness
from vpcrouter.host import Host
from vpcrouter.machines.handover import HandoverMachine
from vpcrouter.machines.peers import derive_key
from vpcrouter.machines.role import RoleChange
from vpcrouter.materialise.nftables import TABLE
from vpcrouter.materialise.peer_guard import CLOSED, PEERS, UNICAST_PEERS
from vpcrouter.peering import Peering
from vpcrouter.projections.electors import electors
from vpcrouter.provenance import Provenance
from vpcrouter.router import Router
from vpcrouter.standby import Standby
from vpcrouter.values.beacon import Saying
from vpcrouter.values.config import RouterConfig
from vpcrouter.values.incremental import Latest
from vpcrouter.values.role import Role

LOG = logging.getLogger("vpcrouter.agent")

MIN_PACE_NS = 10_000_000
"""The peer is never told anything more often than so without a reason of our own."""


@frozen(kw_only=True)
class Follows:
    """What the talk asks of the loop."""

    consider: Callable[[], None]
    """See whether something is to be settled or said."""
    take_reports: Callable[[], None]
    """Take in what keepalived has said by now."""
    notice: Callable[[], None]
    """Settle when it is quiet."""
    urgent: Callable[[], None]
    """Settle at once."""
    in_background: Callable[[Callable[[], None]], None]
    """Do it in the worker."""
    target: Callable[[], str | None]
    """The carrier that the newest settle asks for."""
    synchronises: Callable[[], bool]
    """Whether conntrackd runs."""


class Talk:
    """What one router says to its peers, and hears."""

    def __init__(
        self,
        router: Router,
        peering: Peering,
        planning: Planning,
        handover: HandoverMachine,
        fitness: Fitness,
        weighing: Weighing,
        guests: Guests,
        settlements: Settlements,
        counters: Counter[str],
        follows: Follows,
    ) -> None:
        self._router = router
        self._settings = router.settings
        self._surroundings = router.surroundings
        self._peering = peering
        self._planning = planning
        self._handover = handover
        self._fitness = fitness
        self._weighing = weighing
        self._guests = guests
        self._settlements = settlements
        self._counters = counters
        self._follows = follows
        self._standby = Standby(self._surroundings)
        self._disagreement = Disagreement(self._settings.disagreement_s, self._surroundings)
        self._provenance = Provenance(router.journal.directory, self._surroundings)
        self._contest = Contest(advertisement_interval_ms=self._settings.advertisement_interval_ms)
        self._turn: asyncio.TimerHandle | None = None
        self._is_new_master = False
        """Whether nothing was heard of a peer since this router became master."""

    @property
    def standby(self) -> Standby:
        """How far the connections are in step."""
        return self._standby

    @property
    def disagreement(self) -> Disagreement:
        """What they have configured differently."""
        return self._disagreement

    def close(self) -> None:
        """Say and hear nothing more."""
        if self._turn is not None:
            self._turn.cancel()
        self._peering.close()
        self._standby.close()
        self._provenance.close()

    def role_changed(self, change: RoleChange) -> None:
        """This router has another role."""
        self._is_new_master = change.role is Role.MASTER
        self._peering.serves(change.role is Role.MASTER)

    # Saying -------------------------------------------------------------------------------------

    def announce(self) -> None:
        """Tell the peers what this router is, and see whether time alone has changed what is to be done."""
        self._guests.next_turn()
        self.say()
        self._follows.consider()
        self._await_turn()
        self._judge_contest()

    def say(self) -> None:
        """Tell the peers what this router is."""
        config, carriage = self._router.state.router, self._planning.carriage()
        if config is None:
            return
        is_secret = config.password is not None
        tiers = electors(self._router.state, self._settings.unicast_peers)
        self._peering.listen((*tiers, *carriage.held), _pair_key(config), is_secret=is_secret)
        self._peering.announce(self._saying())

    def say_news(self) -> None:
        """Tell the peers what this router is, if they were told otherwise."""
        if not self._peering.says(self._saying()):
            self.say()
            self._await_turn()

    def _await_turn(self) -> None:
        """Speak again when it is due; that changes with what is heard and said."""
        if self._turn is not None:
            self._turn.cancel()
        wait_ns = max(MIN_PACE_NS, self._peering.due_ns - self._surroundings.monotonic_ns())
        self._turn = asyncio.get_running_loop().call_later(wait_ns / 1e9, self.announce)

    def _saying(self) -> Saying:
        router = self._router
        config = router.state.router
        key = b"" if config is None or config.password is None else _pair_key(config)
        self._guests.look(key)
        roles = router.electors.roles
        return Saying(
            tiers=tuple(each.device for each in electors(router.state) if each.device in roles),
            carrier=router.electors.carrier,
            target=self._follows.target(),
            link=router.electors.link,
            role=router.role,
            seq=router.seq,
            digest=router.digest,
            offer=self._handover.offer,
            taker=self._handover.taker,
            ready=self.lacks() == (),
            missing=self._standby.missing,
            sample=self._standby.sample,
            window=self._disagreement.window,
            traces=self._disagreement.traces,
            roles=tuple(sorted(roles.items())),
            generation=router.electors.generation,
            waiting_passwords=self._guests.waiting(),
            fetched_passwords=self._guests.fetched(self._peering.heard),
            lost=tuple(self._weighing.reasons),
            vrrp=self._weighing.kind,
            way=self._weighing.way,
            reaches_gateway=self._fitness.reaches_gateway,
            unconfirmed=tuple(router.state.confirmations),
        )

    # Hearing ------------------------------------------------------------------------------------

    def on_beacon(self) -> None:
        """Something has come in."""
        if not self._peering.hear():
            return
        self._weighing.weigh()
        # What keepalived has said by now must be known before anything is answered.
        self._follows.take_reports()
        if self._peering.contested_ns is not None:
            self.say()  # the other one must know that we say so too
        if self._guests.learn(self._peering.heard):
            self._follows.notice()
        self._judge_contest()
        if self._is_new_master:
            # Where this router was cut off when it became master, nobody has heard keepalived say so.
            self._is_new_master = False
            self._tell_guests()
        self._follows.consider()
        self._await_turn()

    async def learn_places(self, host: Host, worker: Executor) -> None:
        """Go on listening where an agent before this one has found the peers."""
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(worker, host.find_places, TABLE, PEERS, CLOSED)
            spoken_to = await loop.run_in_executor(worker, host.find_peers, TABLE, UNICAST_PEERS)
        except HostError as error:
            LOG.warning("%s", error)
            return
        self._peering.recall(found, spoken_to)

    def _judge_contest(self) -> None:
        """Two routers serve, and VRRP has not ended it: it does not get through, or a keepalived is stopped."""
        both_served_ms = self._peering.take_both_served()
        self._contest.count(both_served_ms, self._counters)
        verdict = self._contest.judge(self._peering.contested_ns)
        if verdict is Verdict.DISPUTED:
            self._follows.urgent()  # finds a keepalived that is stopped
        # One that was paused says that it serves before it hears that it does not, and guests believe it. keepalived
        # answers that where it carries, which may be another elector than the one that was woken.
        if verdict is Verdict.ENDED or both_served_ms:
            self._tell_guests()

    def _tell_guests(self) -> None:
        """Gratuitous ARP for all virtual addresses, if this router serves."""
        if self._router.role is Role.MASTER and (planned := self._planning.planned):
            self._fitness.announce(planned[1].kernel)

    # Comparing ----------------------------------------------------------------------------------

    async def compare(self, host: Host) -> None:
        """Compare with the peers, a part at a time: connections, and what is configured where the digests differ."""
        while True:
            await asyncio.sleep(self._standby.pause_s)
            wanted = await self._standby.look(self._router.role, self._peering.heard, self._router.electors.link)
            if wanted.resync:
                self._follows.in_background(host.resync_connections)
            if wanted.share:
                self._follows.in_background(host.share_connections)
            if wanted.repeat:
                self._follows.in_background(host.repeat_connections)
            self._disagreement.forget(self._peering.known)
            state, seq = self._router.state, self._router.seq
            key = b"" if state.router is None else _pair_key(state.router)
            self._disagreement.look(state, self._router.digest, self._peering.heard, key)
            self._disagreement.explain(self._provenance.look(self._disagreement.concerned, state, seq))
            self._follows.consider()

    def lacks(self) -> tuple[str, ...] | None:
        """Why this router is not ready to take over; None unless it is backup."""
        if self._router.role is not Role.BACKUP:
            return None
        heard = self._peering.heard
        return self._standby.lacks(
            heard[0] if heard else None,
            self._router.digest,
            settled=self._settlements.is_settled(self._router.seq),
            synchronises=self._follows.synchronises(),
            link=self._router.electors.link,
        )

    def step_handover(self) -> None:
        """Take in what the peers say of a handover."""
        peers = [each.saying for each in self._peering.heard]
        offers = (each.offer for each in peers if each.taker == self._peering.instance)
        self._handover.step(
            self._surroundings.monotonic_ns(),
            role=self._router.role,
            ready=self.lacks() == (),
            offer=max(offers, default=0),
            is_served=any(each.serves for each in peers),
            outranked=bool(self._fitness.losses) and any(each.role is Role.BACKUP and not each.lost for each in peers),
        )


def _pair_key(config: RouterConfig) -> bytes:
    return _KEYS.of(config)


def _key_of(config: RouterConfig) -> bytes:
    return derive_key(None if config.password is None else config.password.reveal(), config.vpc_network)


_KEYS: Latest[RouterConfig, bytes] = Latest(_key_of)
