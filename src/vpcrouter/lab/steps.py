"""What a soak does to a pair: steps as short texts, a random order of them from a seed, and what each may cost. Pure.

    burst:60                        sixty commands to both routers in parallel, then as many that take them back
    move:rA:4.2                     the lowest tier goes, or comes again: told to rA, and 4.2 s later to the other one
    crash:kill:master:1.5           `lab failover`, and 1.5 s later the router is whole again
    kill:agent:backup:0.5           SIGKILL; an agent is started again 0.5 s later (the rest is the agent's business)
    stop:keepalived:master:2        SIGSTOP, and SIGCONT 2 s later
    silence:carrier:backup:1.5      a network is cut and no link goes down, for 1.5 s
    unplug:eth1:master:1.5          a link goes down, for 1.5 s
    drift:ruleset:master            somebody changes something by hand
    handover  reboot:backup
    burst:60+kill:agent:master:0@0.2    the second 0.2 s after the first began

Called by `soak`, which carries them out. "carrier" is the tier that VRRP runs over at that moment, "tier" one that
neither carries nor is probed; master and backup are who is it when the step begins.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from attrs import evolve, frozen

from vpcrouter.errors import CallerError
from vpcrouter.lab.layout import ROUTERS

DAEMONS = ("keepalived", "conntrackd", "dnsmasq", "agent")
PAUSED = "router"
"""All of the daemons at once, as when a virtual machine is paused."""
NETWORKS = ("carrier", "tier", "eth1")
BY_HAND: Mapping[str, str] = {
    "ruleset": "nft flush ruleset",
    "rule": "nft insert rule inet vpcrouter input accept",
    "address": "ip addr add 192.0.2.77/24 dev eth3",
    "own-address": "ip addr del 10.1.3.{own}/24 dev eth3",
    "gateway": "ip addr del 10.1.3.1/24 dev eth3",
    "route": "ip route add 192.0.2.0/24 via 10.1.3.14 dev eth3",
    "default-route": "ip route del default",
    "setting": "sysctl -q -w net.ipv4.conf.eth3.rp_filter=0",
    "mtu": "ip link set eth5 mtu 1300",
    "device": "ip link set eth5 down",
}
"""`{own}` is the last number of the router's own addresses."""
OF_THE_MASTER = ("gateway", "default-route")
"""What only a master has."""
_ROLES = ("master", "backup")

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "burst": ("target",),
    "move": ("target", "seconds"),
    "crash": ("target", "role", "seconds"),
    "kill": ("target", "role", "seconds"),
    "stop": ("target", "role", "seconds"),
    "silence": ("target", "role", "seconds"),
    "unplug": ("target", "role", "seconds"),
    "drift": ("target", "role"),
    "reboot": ("role",),
    "handover": (),
}
_TARGETS: Mapping[str, tuple[str, ...]] = {
    "move": ROUTERS,
    "crash": ("links", "kill", "namespace"),
    "kill": DAEMONS,
    "stop": (*DAEMONS, PAUSED),
    "silence": NETWORKS,
    "unplug": NETWORKS,
    "drift": tuple(BY_HAND),
}
MOST_COMMANDS = 500
_LONGEST_S = 60.0

BUSY_MS = 150.0
"""What a busy machine of two cores adds to an election: a reload, a look, a probe that waits for its turn."""
REPAIRED_MS = 2_000.0
"""Within this, what was changed by hand is put back."""
GATEWAY_GONE_MS = 3_500.0
"""Three unanswered questions of ARP, then the loss has to count."""
HANDED_ON_MS = 1.0
"""While keepalived hands addresses on they are nobody's for a part of a millisecond (docs/redundancy.md). A move
bridges that; where harm is done in the middle of something, one probe in some thousands may meet it."""
IN_A_MOVE_MS = 127.0
"""What an election takes longer in the middle of a move: 600 ms in all at 100 ms advertisements (296 to 408 seen)."""
HEALED_MS = 100.0
"""Two that both served hear each other again: one steps back, and guests follow the other (0 to 2 ms were seen)."""
LINK_GONE_MS = 250.0
"""A lost link counts after `lost_after_ms` (100 ms), and the agent acts on it."""


@frozen(kw_only=True)
class Act:
    """One thing that is done."""

    what: str
    target: str = ""
    role: str = ""
    """Of the router it is done to."""
    seconds: float = 0.0
    """Until it is undone, or until the other router hears of it."""

    def __str__(self) -> str:
        values = (getattr(self, name) for name in _FIELDS[self.what])
        return ":".join([self.what, *(f"{each:g}" if isinstance(each, float) else each for each in values)])


@frozen(kw_only=True)
class Step:
    """One act, or two with the second in the middle of the first."""

    act: Act
    harm: Act | None = None
    after_s: float = 0.0
    """From the beginning of `act` until `harm`."""

    def __str__(self) -> str:
        return str(self.act) if self.harm is None else f"{self.act}+{self.harm}@{self.after_s:g}"

    @property
    def acts(self) -> tuple[Act, ...]:
        """Both, or the one."""
        return (self.act,) if self.harm is None else (self.act, self.harm)


@frozen(kw_only=True)
class Cost:
    """What a step may cost at most; everything in ms."""

    silence_ms: float = 0.0
    """In which a watcher loses its probes."""
    both_serve_ms: float = 0.0
    """In which two routers that hear each other hold the same address."""
    parted: bool = False
    """The two do not hear each other for a while, so both may serve until they do."""


def parse_steps(text: str) -> tuple[Step, ...]:
    """Steps with commas between them; CallerError says which one is none."""
    return tuple(_step(each.strip()) for each in text.split(",") if each.strip())


def deal(seed: int) -> Iterator[Step]:
    """Steps without end. Each round has every kind of step once, in another order: a short soak is no narrow one."""
    chance = random.Random(seed)  # noqa: S311  (to be repeated, not to be secret)
    while True:
        hand = _hand(chance)
        chance.shuffle(hand)
        yield from hand


def cost_of(step: Step, advertisement_ms: int) -> Cost:
    """What the step may cost: its acts together."""
    costs = [_cost(act, advertisement_ms) for act in step.acts]
    silence_ms = sum(each.silence_ms for each in costs)
    if step.harm is not None and not _of_backup(step.harm):
        # A backup that reloads in the middle, for a burst or a move, waits for the master anew; and an agent that dies
        # there does not bridge.
        if silence_ms <= HANDED_ON_MS:
            silence_ms += HANDED_ON_MS
        else:
            silence_ms += IN_A_MOVE_MS if step.act.what == "move" else take_over_ms(advertisement_ms)
    return Cost(
        silence_ms=silence_ms,
        both_serve_ms=max(each.both_serve_ms for each in costs),
        parted=any(each.parted for each in costs),
    )


def _of_backup(harm: Act) -> bool:
    """Whether the router that serves goes through all of it, its agent included."""
    return harm.what in ("kill", "stop", "crash") and harm.role == "backup"


def take_over_ms(advertisement_ms: int) -> float:
    """Until a backup serves after the last advertisement: three intervals and its skew (RFC 9568, section 6.1)."""
    return 3 * advertisement_ms + advertisement_ms * (256 - 199) / 256


def _cost(act: Act, advertisement_ms: int) -> Cost:
    election = take_over_ms(advertisement_ms) + BUSY_MS
    of_master = act.role == "master"
    match act.what:
        case "crash":
            healed = HEALED_MS * (act.target == "links")
            return Cost(silence_ms=election * of_master + healed, both_serve_ms=election, parted=True)
        case "reboot":
            return Cost(silence_ms=election * of_master, both_serve_ms=election * of_master)
        case "stop" if act.target == PAUSED:
            # Its kernel goes on and has the addresses; who could take them away is paused. It must not last longer.
            return Cost(silence_ms=election * of_master, both_serve_ms=(act.seconds * 1000 + BUSY_MS) * of_master)
        case "kill" if act.target == "keepalived":
            # Its agent takes the addresses away long before the other router is elected.
            return Cost(silence_ms=election * of_master, both_serve_ms=advertisement_ms)
        case "stop" if act.target == "keepalived":
            return Cost(silence_ms=election * of_master, both_serve_ms=election * of_master)
        case "silence" if act.target == "carrier":
            return Cost(silence_ms=election, both_serve_ms=election)
        case "silence" if act.target == "eth1" and of_master:
            return Cost(silence_ms=GATEWAY_GONE_MS + election)
        case "unplug" if act.target in ("carrier", "eth1") and of_master:
            return Cost(silence_ms=LINK_GONE_MS + election, both_serve_ms=advertisement_ms)
        case "drift" if of_master and act.target in ("ruleset", "default-route"):
            return Cost(silence_ms=REPAIRED_MS)
        case _:
            return Cost(both_serve_ms=advertisement_ms)


def _hand(chance: random.Random) -> list[Step]:
    def seconds(least: float, most: float) -> float:
        return round(chance.uniform(least, most), 1)

    def role() -> str:
        return chance.choice(_ROLES)

    def crash(how: str = "") -> Act:
        return Act(what="crash", target=how or chance.choice(_TARGETS["crash"]), role=role(), seconds=seconds(0.8, 2))

    def signal(what: str, target: str) -> Act:
        return Act(what=what, target=target, role=role(), seconds=seconds(0.5, 3))

    def burst(most: int = 120) -> Act:
        return Act(what="burst", target=str(chance.randint(15, most)))

    def move(longest_s: float = 10) -> Act:
        return Act(what="move", target=chance.choice(ROUTERS), seconds=chance.choice([0.0, seconds(0, longest_s)]))

    def cut(what: str) -> Act:
        target = chance.choice(NETWORKS)
        # Long enough for the gateway to be missed, so that what follows from it is over when the step is.
        return Act(what=what, target=target, role=role(), seconds=seconds(4, 6) if target == "eth1" else seconds(1, 3))

    def by_hand() -> Act:
        target = chance.choice(_TARGETS["drift"])
        return Act(what="drift", target=target, role="master" if target in OF_THE_MASTER else role())

    handover = Act(what="handover")
    alone = [
        burst(MOST_COMMANDS),
        move(),
        move(),
        # One router hears of it only after everything has come to rest without it.
        evolve(move(), seconds=seconds(12, 15)),
        crash(),
        *(signal(what, target) for what in ("kill", "stop") for target in DAEMONS),
        cut("silence"),
        cut("unplug"),
        by_hand(),
        by_hand(),
        handover,
        Act(what="reboot", role=role()),
    ]
    middles = [
        (burst(), crash()),
        (burst(), signal(chance.choice(("kill", "stop")), chance.choice(DAEMONS))),
        (burst(), handover),
        (burst(), cut("silence")),
        (move(1), crash()),
        (move(1), signal(chance.choice(("kill", "stop")), chance.choice(DAEMONS))),
        (handover, signal("kill", chance.choice(DAEMONS))),
    ]
    return [
        *(Step(act=act) for act in alone),
        *(Step(act=act, harm=harm, after_s=round(chance.uniform(0, 0.7), 2)) for act, harm in middles),
    ]


def _step(text: str) -> Step:
    first, _, second = text.partition("+")
    if not second:
        return Step(act=_act(first, text))
    harm, _, after = second.partition("@")
    return Step(act=_act(first, text), harm=_act(harm, text), after_s=_seconds(after or "0", text))


def _act(text: str, step: str) -> Act:
    what, *values = text.split(":")
    fields = _FIELDS.get(what)
    if fields is None:
        raise CallerError(f"there is no step {what!r}", where=f"--steps {step}", hint=", ".join(_FIELDS))
    if len(values) != len(fields):
        raise CallerError(f"not {':'.join([what, *fields])}", where=f"--steps {step}")
    given = dict(zip(fields, values, strict=True))
    target, role = given.get("target", ""), given.get("role", "")
    if what == "burst" and not (target.isascii() and target.isdecimal() and 0 < int(target) <= MOST_COMMANDS):
        raise CallerError(f"{target!r} is no number of commands", where=f"--steps {step}", hint=f"1 to {MOST_COMMANDS}")
    if what in _TARGETS and target not in _TARGETS[what]:
        raise CallerError(f"{target!r}: not for {what}", where=f"--steps {step}", hint=", ".join(_TARGETS[what]))
    if "role" in fields and role not in _ROLES:
        raise CallerError(f"{role!r} is no role", where=f"--steps {step}", hint=", ".join(_ROLES))
    return Act(what=what, target=target, role=role, seconds=_seconds(given.get("seconds", "0"), step))


def _seconds(text: str, step: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise CallerError(f"{text!r} is no time", where=f"--steps {step}", hint=f"0 to {_LONGEST_S:g} seconds")
    return seconds
