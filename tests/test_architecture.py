"""The house rules that a machine can check: which way imports point, and what the pure rooms may not touch."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
FOLDERS = ("src", "tests", "bench", "tools")
TOUCHES_THE_WORLD = {"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__"}

WRITES_FUNCTIONS = "src/vpcrouter/events/schema.py"
"""The one module that may write a function out and `exec` it, of identifiers of this program only."""


def modules(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in (folder.rglob("*.py") if folder.is_dir() else [folder]))


def pure_modules() -> list[Path]:
    """The files of the contract on the pure core, so that there is one list of them."""
    contract = next(each for each in CONTRACTS if each["name"].startswith("The core is pure"))
    places = [ROOT / "src" / name.replace(".", "/") for name in contract["source_modules"]]
    return modules(*(place if place.is_dir() else place.with_suffix(".py") for place in places))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls_and_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
        elif isinstance(node, ast.ImportFrom) and node.module == "pathlib":
            yield from (f"pathlib.{alias.name}" for alias in node.names if not alias.name.startswith("Pure"))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name == "pathlib")


def test_imports_keep_the_contracts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # It would switch off every logger that there is by now, for all tests after this one.
    monkeypatch.setattr("importlinter.cli._configure_logging", lambda verbose: None)
    failed = lint_imports(config_filename=str(PYPROJECT), no_cache=True)
    assert not failed, capsys.readouterr().out


@pytest.mark.parametrize("path", modules(*(ROOT / folder for folder in FOLDERS)), ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", pure_modules(), ids=name_of)
def test_pure_modules_open_nothing_and_know_only_pure_paths(path: Path) -> None:
    found = set(calls_and_imports(ast.parse(path.read_text("utf-8"))))
    if name_of(path) == WRITES_FUNCTIONS:
        found.remove("exec")
    assert not {each for each in found if each in TOUCHES_THE_WORLD or each.startswith("pathlib")}
