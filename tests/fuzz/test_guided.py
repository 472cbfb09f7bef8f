"""A few seconds of coverage-guided fuzzing for each decoder; `make fuzz` takes longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HANG_S = "20"
"""By the clock, of a process that may have to wait for its turn; `make fuzz` is stricter."""
TARGETS = ("event", "segment", "record", "state", "exported", "submission", "boot_line", "beacon", "traces")
SECONDS = 4


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_only_our_own_errors_leave(target: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.fuzz.guided", target, "--seconds", str(SECONDS), "--hang", HANG_S]
    done = subprocess.run(
        [*words, "--corpus", str(tmp_path / "corpus")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "DONE" in done.stderr
