"""One small process in a node: serves or fetches one paced TCP stream and checks every byte of it.

    python -m vpcrouter.lab.transfer serve ADDRESS PORT BYTES_PER_S   one client, until the end of stdin
    python -m vpcrouter.lab.transfer fetch ADDRESS PORT               until the server closes

Started by `probing`. The stream is blocks of BLOCK bytes, each filled with its own number, so a byte that is
missing, doubled or changed shows. Paced, since a download at the full speed of a veth (12 Gbit/s) takes the CPU
away from what is to be measured. The first line of output is JSON and says that it works, the last is the report.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

BLOCK = 1024
_TICK_S = 0.01
_NUMBER = struct.Struct("!Q")
_PATIENCE_S = 15.0
"""How long the stream may stand still before it counts as broken."""


def main(words: list[str]) -> int:
    """Run as a program."""
    if words[0] == "serve":
        serve(words[1], int(words[2]), int(words[3]))
    else:
        fetch(words[1], int(words[2]))
    return 0


def block(number: int) -> bytes:
    """The block with that number."""
    return _NUMBER.pack(number) * (BLOCK // _NUMBER.size)


def serve(address: str, port: int, bytes_per_s: int) -> None:
    """Send to the first client until standard input ends, then report how much."""
    with socket.create_server((address, port)) as listener:
        listener.settimeout(_PATIENCE_S)
        _say({"port": listener.getsockname()[1]})
        client, _ = listener.accept()
    error, sent = "", 0
    with client:
        client.settimeout(_PATIENCE_S)
        due = time.monotonic()
        try:
            while not select.select([0], [], [], max(0.0, due - time.monotonic()))[0]:
                due += _TICK_S
                blocks = max(1, int(bytes_per_s * _TICK_S) // BLOCK)
                client.sendall(b"".join(block(sent + offset) for offset in range(blocks)))
                sent += blocks
            client.shutdown(socket.SHUT_WR)
            client.recv(1)  # the other end has read everything when it closes
        except OSError as failed:
            error = str(failed)
    _say({"bytes": sent * BLOCK, "error": error})


def fetch(address: str, port: int) -> None:
    """Receive until the server closes, then report how much, whether it was intact, and the longest pause."""
    error, received, kept, intact = "", 0, b"", True
    longest_pause_s = 0.0
    with socket.create_connection((address, port), timeout=_PATIENCE_S) as sock:
        _say({"local_port": sock.getsockname()[1]})
        last = time.monotonic()
        try:
            while data := sock.recv(256 * BLOCK):
                now = time.monotonic()
                longest_pause_s, last = max(longest_pause_s, now - last), now
                kept += data
                for start in range(0, len(kept) - BLOCK + 1, BLOCK):
                    intact = intact and kept[start : start + BLOCK] == block(received // BLOCK)
                    received += BLOCK
                kept = kept[len(kept) - len(kept) % BLOCK :]
        except OSError as failed:
            error = str(failed)
    _say(
        {
            "bytes": received + len(kept),
            "intact": intact and not kept,
            "longest_pause_ms": round(longest_pause_s * 1000, 1),
            "error": error,
        }
    )


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
