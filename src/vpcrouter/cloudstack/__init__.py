"""The foreign format: what CloudStack's management server sends to a router, and what it reads back.

    file of one command ── decoder ── one module per type ── Command
    aggregated VR-*.cfg ── cfg ──────┘
    first-boot line ────── bootline ─── cmdline ──────────── Command
    Role ───────────────── status ───────────────────────── the line of checkrouter

Nothing outside this package knows the server's words. Pure: bytes or text in, commands out.
"""

from vpcrouter.cloudstack.bootline import parse_boot_line
from vpcrouter.cloudstack.cfg import Block, read_cfg
from vpcrouter.cloudstack.decoder import decode
from vpcrouter.cloudstack.status import router_status

__all__ = ["Block", "decode", "parse_boot_line", "read_cfg", "router_status"]
