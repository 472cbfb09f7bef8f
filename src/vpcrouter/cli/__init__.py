"""The command line. Each verb stands in the module of its subject and imports what it needs when it runs.

Exit codes: 0 fine, 1 the answer is no (rejected, drift, damaged, an error), 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vpcrouter.cli import care, cloudstack, history, machine, simulate, submit
from vpcrouter.cli.output import Options, fail
from vpcrouter.errors import VpcRouterError
from vpcrouter.lab import commands as lab

app = typer.Typer(
    name="vpcrouter",
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
        Path,
        typer.Option(
            "--journal", metavar="DIR", envvar="VPCROUTER_JOURNAL", help="The journal's directory.", show_default=True
        ),
    ] = Path("/var/lib/vpcrouter/journal"),
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Options of every verb."""
    ctx.obj = Options(journal=directory, json=json)


submit.register(app)
history.register(app)
machine.register(app)
simulate.register(app)
app.add_typer(care.app, name="journal")
app.add_typer(cloudstack.app, name="cloudstack")
app.add_typer(lab.app, name="lab")


def main() -> None:
    """The console script."""
    try:
        app()
    except VpcRouterError as error:
        fail(str(error))
