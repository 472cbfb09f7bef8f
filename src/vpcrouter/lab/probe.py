"""One small process in a node: sends numbered UDP probes and counts the answers, or gives the answers.

    python -m vpcrouter.lab.probe send ADDRESS PORT INTERVAL_US COUNT   probe until COUNT or the end of stdin
    python -m vpcrouter.lab.probe echo ADDRESS PORT                     answer until the end of stdin

Started by `probing`, which holds the other end of standard input: whatever ends the caller ends the probe. It
imports the standard library only and does nothing in its loop but send, receive and wait, since a slow probe
looks like a bad network. The first line of output says that it works (the port it is bound to, or the clock at
the first probe), the last line of a sender is the report; both are JSON.

A probe that is late (the machine was busy) is sent as soon as possible, never left out; `max_gap_ms` of the
report tells how uneven the sending was. Known hole: on a machine without spare CPU, a gap in the sending cannot
see an outage that falls into it.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from array import array

from vpcrouter.lab.outages import NANOSECONDS_PER_MS, find_outages, longest_gap

GRACE_S = 1.0
"""How long an answer may still come after its probe was sent."""
_LOOK_S = 0.05
_BUFFER = 4 * 1024 * 1024
_NUMBER = struct.Struct("!Q")
_LOSSES = {
    errno.ECONNREFUSED,  # the answerer is gone, or a reject rule
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENOBUFS,
    errno.EPERM,  # dropped by a rule of the sender's own node
    errno.EINVAL,  # no source address at this moment
}
"""What the kernel may say of a probe or an answer in a disturbed network. The probe counts as lost."""


def main(words: list[str]) -> int:
    """Run as a program."""
    gc.disable()
    _hurry()
    if words[0] == "echo":
        answer_probes(words[1], int(words[2]))
    else:
        send_probes(words[1], int(words[2]), int(words[3]) * 1000, int(words[4]))
    return 0


def answer_probes(address: str, port: int) -> None:
    """Send every datagram back to where it came from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _enlarge(sock)
        sock.bind((address, port))
        sock.setblocking(False)
        _say({"port": sock.getsockname()[1]})
        while True:
            readable, _, _ = select.select([sock.fileno(), 0], [], [])
            if 0 in readable and not os.read(0, 64):
                return
            try:
                while True:
                    payload, sender = sock.recvfrom(64)
                    sock.sendto(payload, sender)
            except OSError as error:
                _unless_loss(error)


def send_probes(address: str, port: int, interval_ns: int, count: int) -> None:
    """Send `count` probes (0: until the end of standard input), then report."""
    sent, answered = array("q"), array("q")
    duplicates = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _enlarge(sock)
        sock.connect((address, port))
        sock.setblocking(False)
        started = due = time.monotonic_ns()
        _say({"started_ns": started})
        stopping = False
        while not stopping:
            now = time.monotonic_ns()
            if now >= due:
                number = len(sent)
                sent.append(now)
                answered.append(0)
                try:
                    sock.send(_NUMBER.pack(number))
                except OSError as error:
                    _unless_loss(error)
                due += interval_ns
                stopping = count == len(sent)
            rest_s = max(0.0, (due - time.monotonic_ns()) / 1e9)
            readable, _, _ = select.select([sock.fileno(), 0], [], [], rest_s)
            if 0 in readable:
                stopping = stopping or not os.read(0, 64)
            if sock.fileno() in readable:
                duplicates += _collect(sock, answered)
        deadline = time.monotonic() + GRACE_S
        while (left := deadline - time.monotonic()) > 0 and is_awaited(sent, answered, time.monotonic_ns()):
            if select.select([sock], [], [], min(left, _LOOK_S))[0]:
                duplicates += _collect(sock, answered)
    _say(report(started, sent, answered, duplicates))


def is_awaited(sent: array[int], answered: array[int], now_ns: int) -> bool:
    """Whether a probe has no answer that was sent less than GRACE_S ago; an older one has had its time."""
    youngest_lost = now_ns - int(GRACE_S * 1e9)
    for time_ns, answer_ns in zip(reversed(sent), reversed(answered), strict=True):
        if time_ns < youngest_lost:
            return False
        if not answer_ns:
            return True
    return False


def report(started_ns: int, sent: array[int], answered: array[int], duplicates: int) -> dict[str, object]:
    """What `lab probe --json` prints."""
    lost = sum(1 for time_ns in answered if not time_ns)
    round_trips = [back - there for there, back in zip(sent, answered, strict=True) if back]
    return {
        "started_ns": started_ns,
        "sent": len(sent),
        "received": len(sent) - lost,
        "lost": lost,
        "loss_percent": round(100 * lost / len(sent), 4) if sent else 0.0,
        "duplicates": duplicates,
        "duration_ms": _ms(sent[-1] - sent[0]) if sent else 0.0,
        "max_gap_ms": _ms(longest_gap(sent)),
        "max_round_trip_ms": _ms(max(round_trips, default=0)),
        "outages": [
            {"start_ms": _ms(start), "length_ms": _ms(length), "lost": count}
            for start, length, count in find_outages(sent, answered)
        ],
    }


def _collect(sock: socket.socket, answered: array[int]) -> int:
    """Note every answer that waits; returns how many were duplicates."""
    duplicates = 0
    try:
        while True:
            payload = sock.recv(64)
            now = time.monotonic_ns()
            if len(payload) != _NUMBER.size:
                continue
            (number,) = _NUMBER.unpack(payload)
            if number >= len(answered):
                continue
            if answered[number]:
                duplicates += 1
            else:
                answered[number] = now
    except OSError as error:
        _unless_loss(error)
    return duplicates


def _unless_loss(error: OSError) -> None:
    if not isinstance(error, BlockingIOError) and error.errno not in _LOSSES:
        raise error


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), _BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def _hurry() -> None:
    """Before other processes, where that is allowed: the network is to be measured, not the scheduler."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        return  # as precise as the machine is idle; max_gap_ms tells


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / NANOSECONDS_PER_MS, 3)


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
