"""The generated files as texts by name: what `vpcrouter render` writes. Pure.

Called by the CLI, and by the recorded cases of the tests. The daemons' files are byte for byte those of the machine.
Two more stand for what a machine gets without files: `ruleset.nft`, which `nft -f` loads where the table does not
exist, and `kernel.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

import attrs

from vpcrouter.plan.nftables import ruleset_text
from vpcrouter.values.desired import Desired, Kernel


def render_files(desired: Desired) -> Mapping[str, str]:
    """Name → content, sorted by name. A daemon that must not run has no file here."""
    files = {PurePosixPath(file.path).name: file.content for daemon in desired.daemons for file in daemon.files}
    files["ruleset.nft"] = ruleset_text(desired.ruleset)
    files["kernel.json"] = _kernel_json(desired.kernel)
    return dict(sorted(files.items()))


def _kernel_json(kernel: Kernel) -> str:
    listing = attrs.asdict(kernel)
    if kernel.overlay is None:
        del listing["overlay"]
    listing["sysctls"] = dict(kernel.sysctls)
    return json.dumps(listing, indent=2) + "\n"
