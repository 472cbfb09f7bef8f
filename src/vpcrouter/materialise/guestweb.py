"""State → what guests are told over HTTP: haproxy's configuration, its Lua service, and one file for each guest. Pure.

    http://GATEWAY/latest/…     user data and metadata      haproxy, from the file of the guest that asks
    http://GATEWAY:8080/        the password                haproxy asks the agent, which keeps the journal

A guest is known by its source address, which strict reverse path filtering and the ruleset hold it to. What changes
with a guest is its own file alone: the web server is not told, and does not notice. It binds the tiers' addresses
whether they are there or not, so it runs on both routers and follows the role by itself. It sees nothing but the
directory of these files (chroot), as a user of its own.

The form of a guest's file: a line `NAME LENGTH` for each page, an empty line, then the pages one after the other. Names
cannot hold a blank or a line's end (`values.guests`), and lengths are in bytes, so a content may be anything.
"""

from __future__ import annotations

import base64

from vpcrouter.materialise.rendering import render, source
from vpcrouter.projections.effective import Effective
from vpcrouter.values.desired import Daemon, File, Shelf, ShelfFile, content_digest
from vpcrouter.values.guests import GuestPages
from vpcrouter.values.incremental import Sorted
from vpcrouter.values.settings import Settings

PAGES_PORT = 80
PASSWORD_PORT = 8080
GROUP = "haproxy"
"""Of the user that haproxy runs as; Debian's package makes it."""


def is_needed(effective: Effective) -> bool:
    """Whether there is anything to tell."""
    return bool(effective.tiers) and bool(effective.guest_pages or effective.has_guest_passwords)


def guestweb(effective: Effective, settings: Settings) -> Daemon:
    """The daemon."""
    config = render(
        "guestweb.cfg.j2",
        settings=settings,
        pages=str(settings.guest_pages_dir),
        socket=settings.password_socket.name,
        group=GROUP,
        addresses=_addresses(effective),
        pages_port=PAGES_PORT,
        password_port=PASSWORD_PORT,
    )
    return Daemon(
        name="guestweb",
        reload_files=(
            File(path=str(settings.config_dir / "guestweb.cfg"), content=config),
            File(path=str(settings.config_dir / "guestweb.pages.lua"), content=source("guestweb.pages.lua")),
        ),
        shelf=Shelf(
            path=str(settings.guest_pages_dir),
            group=GROUP,
            files=_FILES.of(effective.guest_pages),
        ),
    )


def guest_file(pages: GuestPages) -> bytes:
    """The file of one guest."""
    found = [(f"meta-data/{name}", text.encode()) for name, text in pages.metadata]
    if pages.user_data is not None:
        found.append(("user-data", base64.b64decode(pages.user_data.reveal())))
    index = "".join(f"{name} {len(content)}\n" for name, content in found)
    return b"".join((index.encode(), b"\n", *(content for _, content in found)))


# One more guest among thousands must not cost the others' files; and what is told to none any more is not kept.
_FILES: Sorted[GuestPages, ShelfFile] = Sorted(
    lambda pages: (
        ShelfFile(name=pages.address, digest=content_digest(guest_file(pages)), content=lambda: guest_file(pages)),
    ),
    key=lambda file: file.name,
)


def _addresses(effective: Effective) -> tuple[str, ...]:
    """The gateways, and the own addresses, from which DHCP answers and where guests therefore look too."""
    found: dict[str, None] = {}
    for tier in effective.tiers:
        if tier.is_gateway:
            found[tier.gateway] = None
        found[tier.address] = None
    return tuple(found)
