"""The command line. Each verb stands in the module of its subject, which is imported when the verb is asked for, and
imports what it needs when it runs.

Exit codes: 0 fine, 1 the answer is no (rejected, drift, damaged, an error), 2 wrong usage.
"""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vpcrouter.cli.output import Options, fail, standard_streams
from vpcrouter.errors import VpcRouterError

_HOMES = {
    **dict.fromkeys(("submit", "confirm"), "cli.submit"),
    **dict.fromkeys(("state", "log", "diff", "revert"), "cli.history"),
    **dict.fromkeys(
        ("plan", "render", "apply", "verify", "run", "status", "boot", "handover", "metrics"), "cli.machine"
    ),
    "simulate": "cli.simulate",
    "journal": "cli.care",
    "cloudstack": "cli.cloudstack",
    "lab": "lab.commands",
}
"""The module of each verb, in the order in which the help tells them. It has `app`, with more verbs, or `register`."""


class _Verbs(UserDict[str, Any]):
    """The verbs by name; one is made when it is looked at. To make all of them takes as long as an empty program."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(_HOMES))

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            home = import_module(f"vpcrouter.{_HOMES[name]}")
            some = typer.Typer(add_completion=False, rich_markup_mode=None)
            if hasattr(home, "app"):
                some.add_typer(home.app, name=name)
            else:
                home.register(some)
            self.update(typer.main.get_group(some).commands)
        return self.data[name]


class _Group(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Verbs()


app = typer.Typer(
    name="vpcrouter",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Keep the configuration of a VPC router as a journal, and a machine equal to it.",
)


@app.callback()
def options(
    ctx: typer.Context,
    directory: Annotated[
        str,
        typer.Option(
            "--journal", metavar="DIR", envvar="VPCROUTER_JOURNAL", help="The journal's directory.", show_default=True
        ),
    ] = "/var/lib/vpcrouter/journal",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Options of every verb."""
    if not directory:  # of a variable that is not set, perhaps; as a path it would be the directory that one is in
        raise typer.BadParameter("--journal names no directory")
    ctx.obj = Options(journal=Path(directory), json=json)


def main() -> None:
    """The console script."""
    with standard_streams():
        try:
            app()
        except VpcRouterError as error:
            fail(str(error))
