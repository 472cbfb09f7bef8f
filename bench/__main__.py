"""Prints the table of figures: `python -m bench [--smoke] [--json] [--strict] [NAME…]`.

A NAME is a module of this package that has `rows(smoke)`; without any, all of them are run. `--smoke` takes one
short round of each, which shows that the measurements work and says little about speed. `--strict` makes the exit
code 1 when a figure does not reach what it has to.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from rich.console import Console
from rich.table import Table

import bench
from bench.row import NotMeasuredError, Row


def main() -> int:
    """Measure and print."""
    modules = {name: module for name, module in _modules() if hasattr(module, "rows")}
    parser = argparse.ArgumentParser(prog="python -m bench", description="Our figures beside the peers'.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(modules)}")
    parser.add_argument("--smoke", action="store_true", help="one short round of each")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a figure does not reach its goal")
    options = parser.parse_args()
    if unknown := set(options.names) - modules.keys():
        parser.error(f"nothing here is called {', '.join(sorted(unknown))}")

    rows: list[Row] = []
    missing: list[str] = []
    for name in options.names or modules:
        print(f"measuring {name} …", file=sys.stderr)
        try:
            rows.extend(modules[name].rows(options.smoke))
        except NotMeasuredError as lack:
            missing.append(f"{name} is not measured: {lack}")
    if options.json:
        for row in rows:
            print(json.dumps(_plain(row)))
    else:
        Console(width=None if sys.stdout.isatty() else 150).print(_table(rows))
    for line in missing:
        print(line, file=sys.stderr)
    failed = bool(missing) or any(row.holds is False for row in rows)
    return 1 if options.strict and failed else 0


def _modules() -> Iterator[tuple[str, ModuleType]]:
    for module in sorted(iter_modules(bench.__path__), key=lambda module: module.name):
        if module.name != "__main__":
            yield module.name, import_module(f"bench.{module.name}")


def _plain(row: Row) -> dict[str, object]:
    return {
        "what": row.what,
        "peer_name": row.peer_name,
        "peer": row.peer,
        "ours": row.ours,
        "unit": row.unit,
        "ratio": row.ratio,
        "reach": str(row.reach) if row.reach else None,
        "holds": row.holds,
    }


def _table(rows: Iterable[Row]) -> Table:
    table = Table()
    for title in ("what", "peer"):
        table.add_column(title)
    for title in ("peer's", "ours", "unit", "ratio", "reach", "holds"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.what,
            row.peer_name,
            _figure(row.peer),
            _figure(row.ours),
            row.unit,
            f"{row.ratio:.2f}" if row.ratio is not None else "",
            str(row.reach or ""),
            {True: "yes", False: "[bold red]no[/]", None: ""}[row.holds],
        )
    return table


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
