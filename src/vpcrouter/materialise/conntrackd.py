"""State → conntrackd.conf. Pure; the role is not asked: both routers send what they see and take what they get.

The peer's entries go straight into the kernel (no external cache), so a failover needs no commit (finding 10). The
file depends on nothing but the lowest tier and the settings, since any change of it is a restart.
"""

from __future__ import annotations

from vpcrouter.materialise.rendering import render
from vpcrouter.projections.effective import Effective
from vpcrouter.values.desired import Daemon, File
from vpcrouter.values.settings import Settings

GROUP = "225.0.0.50"
PORT = 3780


def conntrackd(effective: Effective, settings: Settings) -> Daemon:
    """The daemon. There must be a tier."""
    content = render("conntrackd.conf.j2", settings=settings, lowest=effective.tiers[0], group=GROUP, port=PORT)
    path = str(settings.config_dir / "conntrackd.conf")
    return Daemon(name="conntrackd", restart_files=(File(path=path, content=content),))
