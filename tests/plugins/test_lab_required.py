"""A laboratory that is skipped fails the run that requires it, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SKIPPED_IN_TEST = """
import pytest

@pytest.mark.lab
def test_without_root():
    pytest.skip("no root")

@pytest.mark.lab
@pytest.mark.skipif(True, reason="no keepalived")
def test_without_daemon():
    pass

@pytest.mark.lab
@pytest.mark.xfail
def test_known_defect():
    raise AssertionError

@pytest.mark.lab
def test_good():
    pass

@pytest.mark.skip(reason="another matter")
def test_without_laboratory():
    pass
"""
SKIPPED_AS_A_WHOLE = """
import pytest
pytest.skip("no namespaces", allow_module_level=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tests", "closing_line", "reasons"),
    [
        (SKIPPED_IN_TEST, "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error", ["no root", "no keepalived"]),
        (SKIPPED_AS_A_WHOLE, "1 error", ["no namespaces"]),
    ],
    ids=["in-test", "as-a-whole"],
)
def test_a_skipped_laboratory_is_a_failure(tmp_path: Path, tests: str, closing_line: str, reasons: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(tests)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = lab\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.plugins.lab_required", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode != 0
    assert closing_line in run.stdout.splitlines()[-1]
    for reason in reasons:
        assert f"the laboratory is required, but this was skipped: {reason}" in run.stdout.replace("Skipped: ", "")
