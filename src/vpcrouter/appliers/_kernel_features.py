"""What this kernel can do that some daemon needs: found out by trying, once.

Used by `_daemon_kinds`. Nothing of a trial stays. The answers belong to the network namespace and the machine that this
process runs in.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from vpcrouter.appliers import _process
from vpcrouter.errors import HostError

TUN = Path("/dev/net/tun")
PPP = Path("/dev/ppp")
_TRIAL = ("src", "127.0.0.254", "dst", "127.0.0.253", "proto", "esp", "spi", "0x7fffff01")
"""A security association between two addresses that nobody has."""


@cache
def has_esp() -> bool:
    """Whether the kernel takes a security association of ESP with AES-CBC and SHA-256, which all use."""
    keys = ("enc", "cbc(aes)", "0x" + "00" * 16, "auth", "hmac(sha256)", "0x" + "00" * 32)
    try:
        _process.run(["ip", "xfrm", "state", "add", *_TRIAL, "mode", "tunnel", *keys])
        _process.run(["ip", "xfrm", "state", "delete", *_TRIAL])
    except HostError:
        return False
    return True


def lacks_vxlan() -> str | None:
    """Why there can be no vxlan device; None if there can, or if this user may not try, who settles nothing either.

    Tried in a network namespace that ends with the trial.
    """
    if os.geteuid() != 0:
        return None
    try:
        _process.run(["unshare", "--net", "ip", "link", "add", "trial", "type", "vxlan", "id", "1", "dstport", "4789"])
    except HostError as error:
        return f"the kernel makes no vxlan device: {error.what}"
    return None


def lacks_ipsec() -> str | None:
    """Why there can be no IPsec; None if there can: in the kernel, or in user space behind a tun device."""
    if has_esp() or _opens(TUN):
        return None
    return f"the kernel has neither ESP nor {TUN}"


def lacks_ppp() -> str | None:
    """Why there can be no L2TP; None if there can."""
    if not _opens(PPP):
        return f"the kernel has no PPP ({PPP})"
    return None if has_esp() else "the kernel has no ESP, and L2TP is inside ESP's transport mode"


def _opens(device: Path) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError:
        return False
    return True
