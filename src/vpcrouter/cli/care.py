"""`journal …`: care of the journal."""

from __future__ import annotations

import typer

from vpcrouter.cli.history import existing
from vpcrouter.cli.output import options, say, say_json

app = typer.Typer(no_args_is_help=True, help="Care of the journal.", rich_markup_mode=None)


@app.command("verify")
def verify(ctx: typer.Context) -> None:
    """Read and check every record. Ends with 1, and says how far the journal is sound, if one is damaged."""
    from vpcrouter.journal import read_journal

    seq = 0
    for record in read_journal(existing(options(ctx).journal)):
        seq = record.seq
    say_json({"sound": True, "seq": seq}) if options(ctx).json else say(f"sound: {seq} records")
