"""nftables without a program: libnftables in this process, by ctypes; nothing else touches it.

Used by the nftables applier for the least changes of a ruleset that it knows, where starting `nft` takes 10 to 20 ms
and what it does takes 5. The library is the one that `nft` is made of (libnftables(3)); it takes the same text, does it
in one transaction, and refuses the same, though it shows another line (1.0.6). 1,200 changes among 10,000 rules leave
neither a descriptor nor memory behind; the first one takes 2.6 MB.

A context belongs to the network namespace of the thread that made it. It is made once: its second run takes a third
of its first one's time. What it remembers of the ruleset it reads again when the kernel's generation is another one.
The library has tables for the whole process, so all contexts share a lock. The interpreter's own lock is not held
meanwhile: the event loop goes on.

Known holes. A bug in the library ends the process, not only the change; so the applier gives it no ruleset that it
begins with: who starts again after that goes by way of the program, and has an error to report. And it knows no
timeout: the kernel answers within the call.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from typing import Any

from vpcrouter.errors import ApplierError

_NAME = "libnftables.so.1"
"""Of Debian's `libnftables1`, which `nftables` depends on. The number stands for the functions below."""
_MESSAGE_LENGTH = 2000
_LOCK = threading.Lock()


class NftLibrary:
    """A context, for one thread at a time."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions
        with _LOCK:
            self._context = functions.nft_ctx_new(0)
            if not self._context:
                raise ApplierError("libnftables makes no context", where="nftables")
            # Else it prints.
            functions.nft_ctx_buffer_error(self._context)
            functions.nft_ctx_buffer_output(self._context)

    def run(self, script: str) -> None:
        """Do all of it in one transaction. Raises ApplierError in nft's words if it was refused; nothing is done then.

        A zero byte would end the text, so it is refused.
        """
        if "\0" in script:
            raise ApplierError("a zero byte in a script", where="nftables")
        with _LOCK:
            failed = self._functions.nft_run_cmd_from_buffer(self._context, script.encode())
            # Reading them also empties them.
            said = self._functions.nft_ctx_get_error_buffer(self._context) or b""
            self._functions.nft_ctx_get_output_buffer(self._context)
        if failed:
            words = said.decode(errors="replace").strip()
            raise ApplierError(f"refused: {words[-_MESSAGE_LENGTH:] or 'no message'}", where="nftables")

    def close(self) -> None:
        """Free the context and its socket."""
        with _LOCK:
            self._functions.nft_ctx_free(self._context)
            self._context = None


def open_library() -> NftLibrary | None:
    """A context in the network namespace of the calling thread; None where there is no such library."""
    functions = _functions()
    return None if functions is None else NftLibrary(functions)


@cache
def _functions() -> Any:
    try:
        library = ctypes.CDLL(_NAME)
        for name, answer, arguments in (
            ("nft_ctx_new", ctypes.c_void_p, [ctypes.c_uint32]),
            ("nft_ctx_free", None, [ctypes.c_void_p]),
            ("nft_ctx_buffer_error", ctypes.c_int, [ctypes.c_void_p]),
            ("nft_ctx_buffer_output", ctypes.c_int, [ctypes.c_void_p]),
            ("nft_ctx_get_error_buffer", ctypes.c_char_p, [ctypes.c_void_p]),
            ("nft_ctx_get_output_buffer", ctypes.c_char_p, [ctypes.c_void_p]),
            ("nft_run_cmd_from_buffer", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = answer, arguments
    except (OSError, AttributeError):
        return None
    return library
