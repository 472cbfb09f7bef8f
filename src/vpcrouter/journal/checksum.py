"""CRC32C (RFC 3720, appendix B.4), from the compiled part of the package `crc32c` alone.

The package itself looks its version up as it starts: that reads metadata by way of the parsers of e-mail and URLs, and
takes a seventh of the time of `vpcrouter log`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec

__all__ = ["crc32c"]


def _compiled() -> Callable[..., int]:
    """The function of the extension module; that of the package, should its files be named otherwise one day."""
    package = find_spec("crc32c")
    if package is not None and package.submodule_search_locations is not None:
        found = PathFinder.find_spec("_crc32c", [*package.submodule_search_locations])
        if found is not None and found.loader is not None:
            module = module_from_spec(found)
            found.loader.exec_module(module)
            function: Callable[..., int] = module.crc32c
            return function
    from crc32c import crc32c

    return crc32c


crc32c = _compiled()
