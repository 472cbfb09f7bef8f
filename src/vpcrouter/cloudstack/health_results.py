"""The results of health checks, and alerts, in the form that the management server reads (getRouterMonitorResults.sh,
getRouterAlerts.sh)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from attrs import frozen

NO_ALERTS = "No Alerts"


@frozen(kw_only=True)
class CheckRun:
    """The results of one kind of checks, made together. Times in ms since 1970."""

    kind: str
    start_ms: int
    end_ms: int
    start: str
    """The same as YYYY-MM-DD HH:MM:SS."""
    end: str
    results: tuple[tuple[str, str, str], ...]
    """Of each: name, `SUCCESS` or another such word, message."""


def monitor_results(runs: Iterable[CheckRun]) -> str:
    """The text for the last run of each kind; one without results says nothing."""
    kinds: dict[str, dict[str, Any]] = {}
    failing: list[str] = []
    for run in runs:
        lasted_ms = str(run.end_ms - run.start_ms)
        found: dict[str, Any] = {
            name: {
                "success": success,
                "lastUpdate": str(run.end_ms),
                "lastRunDuration": lasted_ms,
                "message": message,
            }
            for name, success, message in run.results
        }
        if found:
            kinds[run.kind] = {**found, "lastRun": {"start": run.start, "end": run.end, "duration": lasted_ms}}
        failing += [name for name, success, _ in run.results if success == "FAILED"]
    return f"FAILING CHECKS:\n{','.join(failing)}\nMONITOR RESULTS:\n{json.dumps(kinds)}"


def alerts(found: Iterable[tuple[str, int, str]]) -> str:
    """The text for alerts of (time as YYYY-MM-DD HH:MM:SS, its milliseconds, words), oldest first."""
    return "\\n".join(f"{when},{ms:03d} {_plain(words)}" for when, ms, words in found) or NO_ALERTS


def _plain(words: str) -> str:
    """One line: the server splits at backslash-n."""
    return " ".join(words.replace("\\", "/").split())
