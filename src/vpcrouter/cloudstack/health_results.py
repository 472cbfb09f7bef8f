"""The results of health checks, and alerts, in the form that the management server reads (getRouterMonitorResults.sh,
getRouterAlerts.sh)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

NO_ALERTS = "No Alerts"


def monitor_results(
    results: Iterable[tuple[str, str, str, str]], *, at_ms: int, lasted_ms: int, start: str, end: str
) -> str:
    """The text for checks of (kind, name, success, message); times are in ms since 1970, and as text."""
    kinds: dict[str, dict[str, Any]] = {}
    failing = []
    for kind, name, success, message in results:
        kinds.setdefault(kind, {})[name] = {
            "success": success,
            "lastUpdate": str(at_ms),
            "lastRunDuration": str(lasted_ms),
            "message": message,
        }
        if success == "FAILED":
            failing.append(name)
    for found in kinds.values():
        found["lastRun"] = {"start": start, "end": end, "duration": str(lasted_ms)}
    return f"FAILING CHECKS:\n{','.join(failing)}\nMONITOR RESULTS:\n{json.dumps(kinds)}"


def alerts(found: Iterable[tuple[str, int, str]]) -> str:
    """The text for alerts of (time as YYYY-MM-DD HH:MM:SS, its milliseconds, words), oldest first."""
    return "\\n".join(f"{when},{ms:03d} {_plain(words)}" for when, ms, words in found) or NO_ALERTS


def _plain(words: str) -> str:
    """One line: the server splits at backslash-n."""
    return " ".join(words.replace("\\", "/").split())
