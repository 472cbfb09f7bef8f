"""`plan`, `render`, `apply`, `verify`, `run`, `status`, `boot`: the state and this machine."""

from __future__ import annotations

import sys
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vpcrouter.cli.history import existing
from vpcrouter.cli.output import fail, note, options, say, say_json
from vpcrouter.client import AgentClient, find_agent
from vpcrouter.errors import HostError, MalformedInputError
from vpcrouter.values import fields

if TYPE_CHECKING:
    from vpcrouter.host import Host
    from vpcrouter.state import State
    from vpcrouter.values.carriage import Carriage
    from vpcrouter.values.role import Role
    from vpcrouter.values.settings import Settings


class RoleName(Enum):
    """A role on the command line."""

    init = "init"
    backup = "backup"
    master = "master"
    fault = "fault"


Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="Where generated files, sockets and pid files go.")]


class Authentication(Enum):
    """Of VRRP, on the command line."""

    none = "none"
    ah = "ah"
    hmac = "hmac"


def _check_peers(addresses: list[str] | None) -> list[str] | None:
    for each in addresses or ():
        try:
            fields.ipv4(each, "--unicast-peer")
        except MalformedInputError as error:
            raise typer.BadParameter(str(error)) from None
    return addresses


Interval = Annotated[
    int,
    typer.Option(
        "--advertisement-ms", min=10, max=40950, help="VRRP advertisement interval; the same on both routers."
    ),
]
Proof = Annotated[
    Authentication,
    typer.Option(
        "--vrrp-authentication",
        help="Prove advertisements by a secret of the router password: ah (VRRPv2, whole seconds) or hmac (keepalived"
        " 2.4). The same on both routers.",
    ),
]
UnicastPeers = Annotated[
    list[str] | None,
    typer.Option(
        "--unicast-peer",
        metavar="ADDRESS",
        callback=_check_peers,
        help="An own address of a router of the pair on a tier; again for each. VRRP, beacons and conntrackd go by"
        " unicast to those, and to where the peer says that it is. The same on both routers.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (plan, render, apply, verify, run, status, boot, handover, metrics):
        app.command(verb.__name__)(verb)


def plan(
    ctx: typer.Context,
    role: Annotated[RoleName | None, typer.Option("--role", help="Plan for this role, not the present one.")] = None,
    root: Root = Path("/"),
) -> None:
    """Print the operations that would make this machine equal to the state. Touches nothing."""
    agent = _agent(existing(options(ctx).journal))
    if agent is not None:
        with agent:
            operations = agent.call({"op": "plan", "role": role.value if role else ""})["operations"]
    else:
        operations = _plan(options(ctx).journal, role, _settings(root))
    for target, action, subject in operations:
        if options(ctx).json:
            say_json({"target": target, "action": action, "subject": subject})
        else:
            say(f"{target:<12} {action:<8} {subject}")


def _plan(journal: Path, role: RoleName | None, settings: Settings) -> list[tuple[str, str, str]]:
    from vpcrouter.host import Host
    from vpcrouter.materialise import materialise
    from vpcrouter.past import replay

    state = replay(journal).state
    with Host(settings) as host:
        desired = materialise(state, *_present(host, state, role, settings))
        return [(each.target, each.action, each.subject) for each in host.plan(desired)]


def render(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
    role: Annotated[RoleName, typer.Option("--role", help="The role to render for.")],
    root: Root = Path("/"),
    advertisement_ms: Interval = 100,
    unicast_peer: UnicastPeers = None,
    vrrp_authentication: Proof = Authentication.none,
) -> None:
    """Write every generated file, and kernel.json, into DIR. Needs no privileges.

    Example: vpcrouter --journal ./journal render ./out --role master
    """
    from vpcrouter.appliers._files import write_atomically
    from vpcrouter.materialise import materialise
    from vpcrouter.past import replay
    from vpcrouter.render import render_files
    from vpcrouter.values.role import Role

    settings = _settings(root, advertisement_ms, unicast_peer, vrrp_authentication)
    desired = materialise(replay(existing(options(ctx).journal)).state, Role(role.value), settings)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in render_files(desired).items():
        write_atomically(directory / name, content.encode(), 0o600)
        say(str(directory / name))


def apply(
    ctx: typer.Context,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Give up after so long.")] = 10.0,
    root: Root = Path("/"),
    advertisement_ms: Interval = 100,
    unicast_peer: UnicastPeers = None,
    vrrp_authentication: Proof = Authentication.none,
) -> None:
    """Settle the machine once: through the agent where one runs, else directly. Needs root."""
    agent = _agent(existing(options(ctx).journal))
    if agent is not None:
        with agent:
            answer = agent.call({"op": "settle", "timeout": timeout})
            if not answer["settled"]:
                fail("; ".join(answer["differences"]))
    else:
        from vpcrouter.capabilities import feasible
        from vpcrouter.router import Router

        settings = feasible(_settings(root, advertisement_ms, unicast_peer, vrrp_authentication))
        with Router.open(options(ctx).journal, settings=settings) as router:
            for operation in router.settle(timeout).operations:
                note(f"{operation.target:<12} {operation.action:<8} {operation.subject}")
    say_json({"settled": True}) if options(ctx).json else say("settled")


def verify(
    ctx: typer.Context,
    root: Root = Path("/"),
    advertisement_ms: Interval = 100,
    unicast_peer: UnicastPeers = None,
    vrrp_authentication: Proof = Authentication.none,
) -> None:
    """Compare the machine with the state, all of it. Prints what differs and ends with 1 if anything does."""
    journal = options(ctx).journal
    agent = _agent(existing(journal))
    if agent is not None:
        with agent:
            differences = agent.call({"op": "verify"})["differences"]
    else:
        from vpcrouter.capabilities import feasible
        from vpcrouter.host import Host
        from vpcrouter.materialise import materialise
        from vpcrouter.past import replay

        settings = feasible(_settings(root, advertisement_ms, unicast_peer, vrrp_authentication))
        state = replay(journal).state
        with Host(settings) as host:
            differences = list(host.verify(materialise(state, *_present(host, state, None, settings))))
    if options(ctx).json:
        say_json({"equal": not differences, "differences": differences})
    else:
        for difference in differences:
            say(difference)
        if not differences:
            say("the machine equals the state")
    if differences:
        sys.exit(1)


def run(
    ctx: typer.Context,
    root: Root = Path("/"),
    advertisement_ms: Interval = 100,
    quiet_ms: Annotated[int, typer.Option(min=0, help="A burst is over when no command came for so long.")] = 20,
    max_delay_ms: Annotated[int, typer.Option(min=0, help="No command waits longer for a settle.")] = 150,
    long_delay_ms: Annotated[int, typer.Option(min=0, help="…nor one of a burst that goes on and on.")] = 2_000,
    verify_s: Annotated[int, typer.Option(min=1, help="Compare everything at least so often.")] = 60,
    disagreement_s: Annotated[
        int, typer.Option(min=0, help="Say in what the two routers differ when they have for so long.")
    ] = 10,
    lost_after_ms: Annotated[
        int, typer.Option(min=0, max=60_000, help="A link without a carrier counts as lost after so long.")
    ] = 100,
    found_after_ms: Annotated[
        int, typer.Option(min=0, max=3_600_000, help="What was lost counts until it has been back for so long.")
    ] = 5_000,
    watch_gateway: Annotated[
        bool, typer.Option(help="While serving, ask the gateway of the way out by ARP, every second.")
    ] = True,
    metrics_file: Annotated[
        Path | None, typer.Option("--metrics-file", metavar="FILE", help="Write Prometheus metrics there every 10 s.")
    ] = None,
    reserve_kib: Annotated[
        int, typer.Option(min=0, max=1024**2, help="Disk space kept for essential records when the disk is full.")
    ] = 1024,
    unicast_peer: UnicastPeers = None,
    vrrp_authentication: Proof = Authentication.none,
) -> None:
    """Run the agent in the foreground: serve the socket, keep the machine equal to the journal, follow keepalived.

    SIGTERM ends it; traffic, daemons and kernel configuration stay as they are, and the next agent takes over.
    """
    import logging

    from vpcrouter.agent import run_agent
    from vpcrouter.capabilities import feasible
    from vpcrouter.router import Router
    from vpcrouter.values.settings import Settings

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("transitions").setLevel(logging.WARNING)  # it tells of every step of the role machine
    settings = Settings(
        root=str(root.absolute()),
        advertisement_interval_ms=advertisement_ms,
        quiet_ms=quiet_ms,
        max_delay_ms=max_delay_ms,
        long_delay_ms=long_delay_ms,
        verify_interval_s=verify_s,
        disagreement_s=disagreement_s,
        lost_after_ms=lost_after_ms,
        found_after_ms=found_after_ms,
        watch_gateway=watch_gateway,
        metrics_file=None if metrics_file is None else str(metrics_file.absolute()),
        journal_reserve_bytes=reserve_kib * 1024,
        unicast_peers=tuple(unicast_peer or ()),
        vrrp_authentication=vrrp_authentication.value,
    )
    settings.require_room_for_sockets()
    settings = feasible(settings)
    owner = {"socket": str(settings.agent_socket)}
    run_agent(lambda: Router.open(options(ctx).journal, settings=settings, owner=owner))


def status(ctx: typer.Context) -> None:
    """Print role, VRRP interface, sequence number, digest, whether settled, what is pending, faults and drift.

    What somebody should look at begins with an exclamation mark; `vpcrouter --json status` prints everything there is.
    Without a running agent: what the journal alone can tell.
    """
    journal = existing(options(ctx).journal)
    agent = _agent(journal)
    if agent is not None:
        with agent:
            found = {"agent": True, **agent.status()}
            if options(ctx).json:
                found["usage"] = agent.usage()
    else:
        from vpcrouter.past import replay
        from vpcrouter.projections.effective import pending

        past = replay(journal)
        found = {
            "agent": False,
            "role": None,
            "interface": None,
            "seq": past.seq,
            "digest": past.digest,
            "settled": None,
            "pending": [str(each) for each in pending(past.state)],
            "unconfirmed": list(past.state.confirmations),
        }
    if options(ctx).json:
        say_json(found)
        return
    from vpcrouter.cli.status_view import status_lines

    for line in status_lines(found, time.time()):
        say(str(line))


def metrics(ctx: typer.Context) -> None:
    """Print the agent's metrics in Prometheus' text format. Ends with 1 if no agent runs on this journal."""
    agent = _agent(existing(options(ctx).journal))
    if agent is None:
        fail("no agent runs on this journal")
    from vpcrouter.metrics import exposition

    with agent:
        sys.stdout.write(exposition(agent.status(), agent.usage()).decode())


def handover(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Even if the peer is not ready, or does not answer.")] = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ADDRESS", help="Of several peers the one with this own address.")
    ] = None,
) -> None:
    """Give the service to a peer, without a pause. Ends with 1 if it is refused or fails; this router serves on then.

    Refused unless that one is a backup that is ready: `vpcrouter status` there says what it lacks. With --force and no
    peer whose agent is heard, keepalived alone hands over, with a pause of less than an advertisement.
    """
    agent = _agent(existing(options(ctx).journal))
    if agent is None:
        fail("no agent runs on this journal: only a router that serves can hand over")
    with agent:
        answer = agent.call({"op": "handover", "force": force, "to": to})
    if options(ctx).json:
        say_json(answer)
    elif answer["done"]:
        say(f"handed over after {answer['seconds']:.2f} s")
    else:
        note("not handed over: " + "; ".join(answer["reasons"]))
    if not answer["done"]:
        sys.exit(1)


def boot(
    ctx: typer.Context,
    cmdline: Annotated[Path, typer.Option("--cmdline", metavar="FILE", help="The boot command line (key=value …).")],
    root: Root = Path("/"),
    advertisement_ms: Interval = 100,
    unicast_peer: UnicastPeers = None,
    vrrp_authentication: Proof = Authentication.none,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Give up after so long.")] = 30.0,
) -> None:
    """First boot or reboot: take in the boot command line, replay the journal, settle the machine once."""
    from vpcrouter.capabilities import feasible
    from vpcrouter.cloudstack.bootline import parse_boot_line
    from vpcrouter.materialise.vrrp_authentication import settings_without_effect
    from vpcrouter.router import Router
    from vpcrouter.values.boot_keys import without_effect

    try:
        text = cmdline.read_text("utf-8")
    except OSError as error:
        fail(f"{cmdline}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{cmdline}: is not UTF-8")
    command = parse_boot_line(text)
    settings = feasible(_settings(root, advertisement_ms, unicast_peer, vrrp_authentication))
    with Router.open(options(ctx).journal, settings=settings) as router:
        receipt = router.submit(command, origin="boot")
        router.settle(timeout)
        say_json(
            {
                **receipt.as_dict(),
                "role": router.role.value,
                "digest": router.digest,
                "without_effect": {
                    **without_effect(command.config),
                    **settings_without_effect(settings, command.config),
                },
            }
        )


def _settings(
    root: Path,
    advertisement_ms: int = 100,
    unicast_peers: list[str] | None = None,
    vrrp_authentication: Authentication = Authentication.none,
) -> Settings:
    from vpcrouter.values.settings import Settings

    return Settings(
        root=str(root.absolute()),
        advertisement_interval_ms=advertisement_ms,
        unicast_peers=tuple(unicast_peers or ()),
        vrrp_authentication=vrrp_authentication.value,
    )


def _present(
    host: Host, state: State, wanted: RoleName | None, settings: Settings
) -> tuple[Role, Settings, Carriage | None]:
    """The role that was asked for, else what keepalived says; and which electors it runs with."""
    from vpcrouter.router import present
    from vpcrouter.values.role import Role

    role, carriage = present(state, host.find_electors(), settings)
    return (role if wanted is None else Role(wanted.value)), settings, carriage


def _agent(journal: Path) -> AgentClient | None:
    path = find_agent(journal)
    try:
        return AgentClient(path) if path is not None else None
    except HostError:
        return None
