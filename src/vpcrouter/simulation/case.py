"""A case: everything that happens to a simulated pair, as a value and as a text that a person can read and edit.

    # comments and empty lines do not count
    seed 7
    advertisement-ms 100
    0     rA  submit boot {"command":"configure-router", …}
    1500  rB  cut eth2 silent 400
    1800  rA  crash agent
    2000  -   network loss=0.05 copies=0.01 delay-ms=2 for 300

One line, one step: milliseconds since the agents started, the router (`-` for both or neither; `master` or `backup`
for whoever serves then, or the other one), what happens. Written by `dumps`, read by `loads`; reading what was written
gives an equal case. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from vpcrouter.errors import MalformedInputError
from vpcrouter.values.confirmation import LONGEST_MS, SHORTEST_MS, condition

ROUTERS: Final = ("rA", "rB")
ROLES: Final = ("master", "backup")
"""Instead of a router, for faults: whoever serves when it happens, or was the last to serve; and the other one."""
EVERYWHERE: Final = ("agent", "keepalived", "conntrackd", "dnsmasq")
"""What each router of a pair runs that has a tier."""
PROCESSES: Final = (*EVERYWHERE, "radvd", "guestweb", "haproxy", "charon-systemd", "bgpd", "xl2tpd")
MORTALS: Final = (*PROCESSES, "keepalived-parent", "keepalived-child")
"""What can be killed: of keepalived both processes at once, or one of the two."""
DRIFTS: Final = (
    "own-address", "virtual-address", "stray-address", "stray-route", "connected-route", "rule", "link-down", "ruleset",
    "table", "file", "stray-file", "sysctl",
)  # fmt: skip
DISK_FAULTS: Final = ("slow", "full", "refuses-writes", "refuses-syncs")
CUTS: Final = ("silent", "carrier")
EVERY_DEVICE: Final = "all"
QUESTIONS: Final = (
    "handover",
    "forced-handover",
    "confirm",
    "take-back",
    "revert",
    "settle",
    "plan",
    "usage",
    "checkup",
    "guest-password",
)
"""What an operator asks an agent for."""


@frozen(kw_only=True)
class Submit:
    """A command file goes to a router: `submit NAME TEXT`. The same name on both routers: the same command.

    With `within_ms` it is a change that is taken back unless it is confirmed in time: `change NAME MS CONDITION TEXT`.
    A text that is not one plain line stands as a JSON string.
    """

    at_ms: int
    router: str
    name: str
    text: str
    within_ms: int = 0
    condition: str = ""
    """What confirms it by itself: `settled`, `ping ADDRESS`, `tcp ADDRESS PORT`. In a file with / for blanks, or -."""


@frozen(kw_only=True)
class Crash:
    """A process is killed with -9: `crash PROCESS`."""

    at_ms: int
    router: str
    process: str


@frozen(kw_only=True)
class PowerOff:
    """The machine loses its power for so long: `power-off MS`."""

    at_ms: int
    router: str
    for_ms: int


@frozen(kw_only=True)
class Pause:
    """A process, or `all`, is stopped by a signal and continued: `pause PROCESS MS`."""

    at_ms: int
    router: str
    process: str
    for_ms: int


@frozen(kw_only=True)
class CutCable:
    """A cable is cut and mended: `cut DEVICE silent|carrier MS`; device `all` is every one of that router."""

    at_ms: int
    router: str
    device: str
    how: str
    for_ms: int


@frozen(kw_only=True)
class Unplug:
    """A network device is taken out of the machine, and put in again, bare and another one: `unplug DEVICE MS`."""

    at_ms: int
    router: str
    device: str
    for_ms: int


@frozen(kw_only=True)
class DiskFault:
    """The journal's disk is bad in one way: `disk slow|full|refuses-writes|refuses-syncs MS`."""

    at_ms: int
    router: str
    how: str
    for_ms: int


@frozen(kw_only=True)
class SetClock:
    """Somebody sets the time of day: `clock SECONDS` (added to what it was)."""

    at_ms: int
    router: str
    by_s: int


@frozen(kw_only=True)
class Drift:
    """Somebody changes the machine by hand: `drift WHAT`."""

    at_ms: int
    router: str
    what: str


@frozen(kw_only=True)
class Snapshot:
    """The agent writes a snapshot of its state: `snapshot`."""

    at_ms: int
    router: str


@frozen(kw_only=True)
class Ask:
    """An operator, or a guest, asks the agent for something, once: `ask WHAT [ABOUT]`.

    `guest-password` is what a guest does whose password waits: it fetches it and says that it has it.
    `confirm` and `take-back` are about the change of that name, or the newest one; `revert N` about the last N events.
    """

    at_ms: int
    router: str
    what: str
    about: str = ""


@frozen(kw_only=True)
class Network:
    """All networks lose, copy and delay: `network loss=SHARE copies=SHARE delay-ms=MS for MS`."""

    at_ms: int
    router: str = "-"
    loss: float = 0.0
    copies: float = 0.0
    delay_ms: int = 0
    for_ms: int = 0


Step = Submit | Crash | PowerOff | Pause | CutCable | Unplug | DiskFault | SetClock | Drift | Snapshot | Ask | Network


def _in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.at_ms))


@frozen(kw_only=True)
class Case:
    """What happens. Steps of one moment happen in the order given."""

    steps: tuple[Step, ...] = field(converter=_in_order)
    seed: int = 0
    """Of everything that is left to chance: delays, losses, what a power failure leaves."""
    advertisement_ms: int = 100

    @property
    def commands(self) -> int:
        """How many files are submitted."""
        return sum(isinstance(step, Submit) for step in self.steps)

    @property
    def faults(self) -> tuple[Step, ...]:
        """Everything else."""
        return tuple(step for step in self.steps if not isinstance(step, Submit))


def dumps(case: Case) -> str:
    """The text."""
    head = [f"seed {case.seed}", f"advertisement-ms {case.advertisement_ms}"]
    return "\n".join((*head, *(_line(step) for step in case.steps))) + "\n"


def _line(step: Step) -> str:
    return f"{step.at_ms:<6d} {step.router:<3s} {words(step)}"


def words(step: Step) -> str:
    """The step without its time and router, as it stands in a file."""
    match step:
        case Submit(within_ms=0):
            return f"submit {step.name} {_text(step.text)}"
        case Submit():
            condition = step.condition.replace(" ", "/") or "-"
            return f"change {step.name} {step.within_ms} {condition} {_text(step.text)}"
        case Crash():
            return f"crash {step.process}"
        case PowerOff():
            return f"power-off {step.for_ms}"
        case Pause():
            return f"pause {step.process} {step.for_ms}"
        case CutCable():
            return f"cut {step.device} {step.how} {step.for_ms}"
        case Unplug():
            return f"unplug {step.device} {step.for_ms}"
        case DiskFault():
            return f"disk {step.how} {step.for_ms}"
        case SetClock():
            return f"clock {step.by_s}"
        case Drift():
            return f"drift {step.what}"
        case Snapshot():
            return "snapshot"
        case Ask():
            return f"ask {step.what} {step.about}".rstrip()
        case Network():
            return f"network loss={step.loss} copies={step.copies} delay-ms={step.delay_ms} for {step.for_ms}"


def question(step: Ask, *, seq: int, waiting: Sequence[str]) -> dict[str, Any] | None:
    """What is sent to an agent with this newest event and these unconfirmed changes; None if it is about nothing."""
    request: dict[str, Any] = {"op": step.what}
    match step.what:
        case "handover" | "forced-handover":
            request = {"op": "handover", "force": step.what.startswith("forced")}
        case "confirm" | "take-back":
            if not step.about and not waiting:
                return None
            request["name"] = step.about or waiting[-1]
        case "revert":
            request["seq"] = max(0, seq - int(step.about or 1))
        case "settle":
            request["timeout"] = 2.0
        case "plan":
            request["role"] = None
        case "checkup":
            request["now"] = True
    return request


def _text(text: str) -> str:
    """As it stands in a file: on one line, whatever is in it."""
    is_plain = text.isascii() and text.isprintable() and text == text.strip() and not text.startswith('"')
    return text if is_plain and text else json.dumps(text)


def loads(text: str, *, name: str = "case") -> Case:
    """The case. Raises MalformedInputError naming the line."""
    seed, advertisement_ms = 0, 100
    steps: list[Step] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            match words:
                case ["seed", value]:
                    seed = int(value)
                case ["advertisement-ms", value]:
                    advertisement_ms = int(value)
                case [at, router, verb, *rest]:
                    steps.append(_step(int(at), _one_of(router, (*ROUTERS, *ROLES, "-")), verb, rest, line))
                case _:
                    raise ValueError("a step has a time, a router and a verb")  # noqa: TRY301
        except (ValueError, KeyError, IndexError, MalformedInputError) as error:
            raise MalformedInputError(
                f"{line.strip()[:80]!r} is no line of a case: {error}",
                where=f"{name}:{number}",
                hint="docs/simulation.md has every verb",
            ) from None
    return Case(steps=tuple(steps), seed=seed, advertisement_ms=advertisement_ms)


def _step(at_ms: int, router: str, verb: str, rest: list[str], line: str) -> Step:
    if at_ms < 0:
        raise ValueError("time begins at 0")
    if router == "-" and verb != "network":
        raise ValueError("only the network has no router")
    if router in ROLES and verb in ("submit", "change", "network"):
        raise ValueError("only a fault goes by the role")
    return _READ[verb](at_ms, router, rest, line)


def _submit(at_ms: int, router: str, rest: list[str], line: str) -> Step:
    return Submit(at_ms=at_ms, router=router, name=rest[0], text=_read_text(line, 4))


def _change(at_ms: int, router: str, rest: list[str], line: str) -> Step:
    within_ms = _count(rest[1])
    if not SHORTEST_MS <= within_ms <= LONGEST_MS:
        raise ValueError(f"a change waits from {SHORTEST_MS} to {LONGEST_MS} ms")
    return Submit(
        at_ms=at_ms,
        router=router,
        name=rest[0],
        text=_read_text(line, 6),
        within_ms=within_ms,
        condition="" if rest[2] == "-" else condition(rest[2].replace("/", " "), "condition"),
    )


def _read_text(line: str, words_before: int) -> str:
    text = line.split(None, words_before)[words_before]
    if not text.startswith('"'):
        return text
    read = json.loads(text)
    if not isinstance(read, str):
        raise ValueError("a text is a line, or one JSON string")  # noqa: TRY004
    return read


def _ask(at_ms: int, router: str, rest: list[str], _: str) -> Step:
    what, *about = rest
    most = {"confirm": 1, "take-back": 1, "revert": 1}.get(_one_of(what, QUESTIONS), 0)
    if len(about) > most:
        raise ValueError(f"too many words after {what}")
    if what == "revert":
        _count(about[0])
    return Ask(at_ms=at_ms, router=router, what=what, about="".join(about))


def _network(at_ms: int, router: str, rest: list[str], line: str) -> Step:
    values = dict(word.split("=", 1) for word in rest if "=" in word)
    share = {key: float(values.get(key, "0")) for key in ("loss", "copies")}
    if not all(0 <= each <= 1 for each in share.values()):
        raise ValueError("a share is between 0 and 1")
    return Network(
        at_ms=at_ms,
        router=router,
        loss=share["loss"],
        copies=share["copies"],
        delay_ms=_count(values.get("delay-ms", "0")),
        for_ms=_count(rest[rest.index("for") + 1]),
    )


_READ: Mapping[str, Callable[[int, str, list[str], str], Step]] = {
    "submit": _submit,
    "change": _change,
    "ask": _ask,
    "network": _network,
    "crash": lambda at, router, rest, _: Crash(at_ms=at, router=router, process=_one_of(rest[0], MORTALS)),
    "power-off": lambda at, router, rest, _: PowerOff(at_ms=at, router=router, for_ms=_count(rest[0])),
    "pause": lambda at, router, rest, _: Pause(
        at_ms=at, router=router, process=_one_of(rest[0], (*PROCESSES, "all")), for_ms=_count(rest[1])
    ),
    "cut": lambda at, router, rest, _: CutCable(
        at_ms=at, router=router, device=rest[0], how=_one_of(rest[1], CUTS), for_ms=_count(rest[2])
    ),
    "unplug": lambda at, router, rest, _: Unplug(at_ms=at, router=router, device=rest[0], for_ms=_count(rest[1])),
    "disk": lambda at, router, rest, _: DiskFault(
        at_ms=at, router=router, how=_one_of(rest[0], DISK_FAULTS), for_ms=_count(rest[1])
    ),
    "clock": lambda at, router, rest, _: SetClock(at_ms=at, router=router, by_s=int(rest[0])),
    "drift": lambda at, router, rest, _: Drift(at_ms=at, router=router, what=_one_of(rest[0], DRIFTS)),
    "snapshot": lambda at, router, _, __: Snapshot(at_ms=at, router=router),
}


def _one_of(word: str, words: Sequence[str]) -> str:
    if word not in words:
        raise ValueError(f"{word!r} is none of {', '.join(words)}")
    return word


def _count(word: str) -> int:
    number = int(word)
    if number < 0:
        raise ValueError(f"{number} is less than nothing")
    return number
