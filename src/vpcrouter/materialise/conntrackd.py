"""Election → conntrackd.conf. Pure; the role is not asked: both routers send what they see and take what they get.

The peer's entries go straight into the kernel (no external cache), so a failover needs no commit (finding 10). The
file depends on nothing but the link and the settings, since any change of it is a restart.
"""

from __future__ import annotations

from vpcrouter.materialise.election import Election
from vpcrouter.materialise.rendering import render
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.settings import Settings

GROUP = "225.0.0.50"
PORT = 3780


def conntrackd(election: Election, settings: Settings) -> Daemon | None:
    """The daemon; None where it would speak by unicast, and to whom is not known yet. It can to one peer only."""
    peer = None
    if election.peers is not None:
        peer = next(iter(election.peers[election.link.device]), None)
        if peer is None:
            return None
    content = render("conntrackd.conf.j2", settings=settings, link=election.link, group=GROUP, port=PORT, peer=peer)
    path = str(settings.config_dir / "conntrackd.conf")
    return Daemon(name="conntrackd", restart_files=(File(path=path, content=content),))
