"""Election → conntrackd.conf. Pure; the role is not asked: all routers send what they see and take what they get.

The peer's entries go straight into the kernel (no external cache), so a failover needs no commit (finding 10). The
file depends on nothing but the link and the settings, since any change of it is a restart.
"""

from __future__ import annotations

from vpcrouter.materialise.election import Election
from vpcrouter.materialise.overlay import overlay, overlay_source
from vpcrouter.materialise.rendering import render
from vpcrouter.values.desired import OVERLAY, Daemon, File
from vpcrouter.values.incremental import Latest
from vpcrouter.values.settings import Settings

GROUP = "225.0.0.50"
PORT = 3780


def conntrackd(election: Election, settings: Settings) -> Daemon | None:
    """The daemon; None where the networks carry no multicast, and the kernel cannot make one that does."""
    if not election.synchronises:
        return None
    device, source = election.link.device, election.link.source
    if (over := overlay(election)) is not None:
        device, source = OVERLAY, overlay_source(over)
    return _DAEMON.of(settings, device, source)


def _daemon(settings: Settings, device: str, source: str) -> Daemon:
    content = render("conntrackd.conf.j2", settings=settings, device=device, source=source, group=GROUP, port=PORT)
    path = str(settings.config_dir / "conntrackd.conf")
    return Daemon(name="conntrackd", restart_files=(File(path=path, content=content),))


_DAEMON: Latest[Settings, str, str, Daemon] = Latest(_daemon)
"""The link is another one more rarely than the role."""
