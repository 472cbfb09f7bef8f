"""The boot line: `key=value` words from which today's boot script makes cmd_line.json.

A value is all that follows the first `=`, so base64 keeps its padding; of a key given twice the last one counts.
On Xen the words are separated by `%` and stand among the kernel's own, of which none begins with `%`: what has
no `%` in it is not ours there. Nothing is expanded or run.
"""

from __future__ import annotations

from vpcrouter.cloudstack.cmdline import router_config
from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import ConfigureRouter
from vpcrouter.errors import MalformedInputError
from vpcrouter.strict_json import text_of


def parse_boot_line(text: str) -> ConfigureRouter:
    """The command of the line. Errors name a key as `cmd_line` would: `cmd_line.vpccidr`."""
    words = text_of(text).split()
    if any(word.startswith("%") for word in words):
        words = [part for word in words if "%" in word for part in word.split("%") if part]
    found: dict[str, str] = {}
    for index, word in enumerate(words):
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise MalformedInputError("is not key=value", where=f"word {index + 1} of the boot line")
        found[key] = value
    return ConfigureRouter(config=router_config(Reader(found, "cmd_line")))
