"""All that can change the role of this router stands in one table.

`router.py` tells it what keepalived and the configuration report, and carries out the intents of the answer.
The machine calls nobody, reads no clock, and knows nothing of the journal: replay never restores a role, a new
machine is in init until someone reports. It must be told of the configuration before it is told of keepalived.

A role is not enough to decide by: a late line of a keepalived that was stopped with the last tier must not make
a master, and one that is still in the pipe must not demote a router that has no peer. So the table walks over
standings, each of which has one role:

    standing   role     meaning
    NO_TIER    init     no guest network, so nothing to elect over; whatever keepalived says is stale
    WAITING    init     one of a pair; keepalived has not reported since the first tier came
    BACKUP     backup   keepalived says so
    MASTER     master   keepalived says so
    FAULT      fault    keepalived says so, or it died: its addresses may still be here while the peer has them too
    ALONE      master   not one of a pair; there is nobody to elect with

keepalived's newest word is believed in every standing of a pair, whatever came before: a router that starts beside
a running keepalived hears `master` first, and a missed line must not leave it wrong for ever. A keepalived that is
gone (LOST), killed or stopped, means fault, not init: init says "nothing to report yet", and this router has
something to report. Its own last word (STOPPED) changes nothing: it comes a second after the addresses are gone, and
after a kill -9 perhaps after the first words of its successor, which would then be taken for dead.

Known hole: lines that keepalived wrote before it died still count when they are read after the report of its
death. Whoever reads the FIFO must empty it before it reports LOST.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import transitions
from attrs import frozen

from vpcrouter.values.role import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transitions.core import TransitionConfigDict


class Report(Enum):
    """What the machine can be told. Telling it the same thing twice is the same as once."""

    BACKUP = "backup"
    """keepalived: it is backup."""
    MASTER = "master"
    """keepalived: it is master."""
    FAULT = "fault"
    """keepalived: it is in fault, for example because a link is down."""
    STOPPED = "stopped"
    """keepalived: the last word of a process that ends in order."""
    LOST = "lost"
    """The process of keepalived is gone, killed or stopped."""
    NO_TIER = "no-tier"
    """The configuration: there is no guest network."""
    PAIRED = "paired"
    """The configuration: there is a guest network, and the router is one of a pair."""
    ALONE = "alone"
    """The configuration: there is a guest network, and the router is the only one."""

    @staticmethod
    def of_role(role: Role) -> Report:
        """The report of a keepalived whose carrier has this role."""
        return {
            Role.MASTER: Report.MASTER,
            Role.BACKUP: Report.BACKUP,
            Role.FAULT: Report.FAULT,
            Role.INIT: Report.STOPPED,
        }[role]

    @staticmethod
    def of_configuration(*, has_tier: bool, redundant: bool) -> Report:
        """The report that this configuration makes."""
        if not has_tier:
            return Report.NO_TIER
        return Report.PAIRED if redundant else Report.ALONE


class Standing(Enum):
    """Where the machine stands; see the head of this file."""

    NO_TIER = "no-tier"
    WAITING = "waiting"
    BACKUP = "backup"
    MASTER = "master"
    FAULT = "fault"
    ALONE = "alone"


class Intent(Enum):
    """What is to be done about a change of the role."""

    SETTLE = "settle"
    """Make the machine equal to the state under the new role."""
    RESYNC = "resync"
    """Ask the peer's conntrackd for all its connections, since this router may have missed some."""
    SHARE = "share"
    """Let conntrackd take up all connections of the kernel, then send them to the peer.

    Those that came from the old master are in the kernel but not in conntrackd's own cache, which is all that it
    sends and all that a peer can ask it for: without this they would be lost with the second failover.
    """
    RECORD = "record"
    """Write the change into the journal, for the audit trail."""


@frozen(kw_only=True)
class RoleChange:
    """The answer to a report."""

    previous: Role
    role: Role
    reason: str
    intents: tuple[Intent, ...] = ()
    """In the order in which to carry them out; none if the role is what it was."""

    @property
    def changed(self) -> bool:
        """Whether the role is another one than before."""
        return self.role is not self.previous


ROLES: Final[Mapping[Standing, Role]] = MappingProxyType(
    {
        Standing.NO_TIER: Role.INIT,
        Standing.WAITING: Role.INIT,
        Standing.BACKUP: Role.BACKUP,
        Standing.MASTER: Role.MASTER,
        Standing.FAULT: Role.FAULT,
        Standing.ALONE: Role.MASTER,
    }
)

STAYS: Final = None
"""In the table: the standing remains, explicitly."""

# fmt: off
_N, _W, _B, _M, _F, _A = Standing
GRID: Final[Mapping[Standing, tuple[Standing | None, ...]]] = MappingProxyType({
    # told:            backup  master  fault  stopped  lost   no-tier  paired  alone
    Standing.NO_TIER: (STAYS,  STAYS,  STAYS, STAYS,   STAYS, STAYS,   _W,     _A),
    Standing.WAITING: (_B,     _M,     _F,    STAYS,   _F,    _N,      STAYS,  _A),
    Standing.BACKUP:  (STAYS,  _M,     _F,    STAYS,   _F,    _N,      STAYS,  _A),
    Standing.MASTER:  (_B,     STAYS,  _F,    STAYS,   _F,    _N,      STAYS,  _A),
    Standing.FAULT:   (_B,     _M,     STAYS, STAYS,   STAYS, _N,      STAYS,  _A),
    Standing.ALONE:   (STAYS,  STAYS,  STAYS, STAYS,   STAYS, _N,      _W,     STAYS),
})
# fmt: on
"""Every standing and every report, in the order of `Report`. Nothing else changes a role."""

TABLE: Final[tuple[TransitionConfigDict, ...]] = tuple(
    {"trigger": report.value, "source": standing, "dest": destination}
    for standing, row in GRID.items()
    for report, destination in zip(Report, row, strict=True)
)
"""The grid as `transitions` takes it; a destination of None leaves the standing alone."""

_STAYING: Final = frozenset(
    (standing, report)
    for standing, row in GRID.items()
    for report, destination in zip(Report, row, strict=True)
    if destination is STAYS
)

_WORDS: Final[Mapping[Report, str]] = MappingProxyType(
    {
        Report.BACKUP: "keepalived reports backup",
        Report.MASTER: "keepalived reports master",
        Report.FAULT: "keepalived reports fault",
        Report.STOPPED: "keepalived is ending",
        Report.LOST: "keepalived does not run",
        Report.NO_TIER: "there is no guest network",
        Report.PAIRED: "the router is one of a pair now",
        Report.ALONE: "the router is not one of a pair",
    }
)

# The machine comes first: a record waits for the disk, and keepalived has not waited for either.
_INTENTS: Final[Mapping[Standing, tuple[Intent, ...]]] = MappingProxyType(
    {
        Standing.NO_TIER: (Intent.SETTLE, Intent.RECORD),
        Standing.WAITING: (Intent.SETTLE, Intent.RECORD),
        Standing.BACKUP: (Intent.SETTLE, Intent.RESYNC, Intent.RECORD),
        Standing.MASTER: (Intent.SETTLE, Intent.SHARE, Intent.RECORD),
        Standing.FAULT: (Intent.SETTLE, Intent.RECORD),
        Standing.ALONE: (Intent.SETTLE, Intent.RECORD),
    }
)
"""What is to be done when a standing is reached and the role was another one before."""

# One machine walks all models. It knows no callbacks, which could leave a new standing behind an exception, and no
# conditions, which could refuse a report without a word; and it is no model itself, so that no methods grow.
_MACHINE: Final = transitions.Machine(
    model=None,
    model_attribute="_standing",
    states=Standing,
    initial=Standing.NO_TIER,
    transitions=TABLE,
    auto_transitions=False,
)


class RoleMachine:
    """The role of one router."""

    def __init__(self) -> None:
        self._standing = Standing.NO_TIER
        self._role = ROLES[self._standing]
        self._reason = "nothing has been reported yet"

    @property
    def standing(self) -> Standing:
        """Where the machine stands."""
        return self._standing

    @property
    def role(self) -> Role:
        """The role that belongs to the standing."""
        return self._role

    @property
    def reason(self) -> str:
        """Why the router has the role that it has: what was reported when it last changed."""
        return self._reason

    def observe(self, report: Report, reason: str = "") -> RoleChange:
        """Take in a report; `reason` can say more than its name does."""
        previous = self.role
        if (self._standing, report) not in _STAYING:  # most reports say what is known
            _MACHINE.events[report.value].trigger(self)
            self._role = ROLES[self._standing]
        if self.role is previous:
            return RoleChange(previous=previous, role=previous, reason=self._reason)
        self._reason = reason or _WORDS[report]
        return RoleChange(previous=previous, role=self.role, reason=self._reason, intents=_INTENTS[self._standing])
