"""What README and docs show is run: Python examples whole, command lines as far as their verbs and options go."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(
    "example", [pytest.param(code, id=page.name) for page in PAGES for code in PYTHON.findall(page.read_text())]
)
def test_python_examples_run(example: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    for shown in re.findall(r"print\(.*\)\s+# ([\w ]+)$", example, re.MULTILINE):
        assert shown in done.stdout


def _command_lines() -> list[list[str]]:
    lines = [line for page in PAGES for block in SHELL.findall(page.read_text()) for line in block.splitlines()]
    return [line.partition("#")[0].split() for line in lines if line.startswith("vpcrouter ")]


@pytest.mark.parametrize("words", _command_lines(), ids=" ".join)
def test_command_lines_name_verbs_and_options_that_exist(words: list[str]) -> None:
    import typer

    from vpcrouter.cli import app

    command: Any = typer.main.get_command(app)
    for word in words[1:]:
        verbs = getattr(command, "commands", {})
        if word in verbs:
            command = verbs[word]
        elif word.startswith("--"):
            known = {option for parameter in command.params for option in parameter.opts}
            assert word.partition("=")[0] in known, f"{command.name} has no {word}"
        else:
            assert not verbs, f"{command.name} has no verb {word}"


def test_functions_has_a_row_for_each_type_that_is_built_and_names_tests_that_exist() -> None:
    from vpcrouter.cloudstack.decoder import _DECODERS

    text = (ROOT / "docs/functions.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    missing = _DECODERS.keys() - rows
    assert not missing, f"docs/functions.md needs a row for {', '.join(sorted(missing))}"
    for named in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / named).exists(), named
