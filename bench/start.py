"""What a process costs before it does anything: Python, Typer, the library, and a verb of ours.

A client verb must not pay for what it does not use, so it is measured as a whole process. Figures hang on the disk's
cache; the first round warms it up.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import samples
from bench.row import Measurement, Reach, Row, side_by_side, timed
from vpcrouter.journal import Entry, Journal

EMPTY_TYPER = """
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
app.command()(lambda: None)
app()
"""


def rows(smoke: bool) -> Iterable[Row]:
    """Import of the library beside a bare interpreter, and a verb beside a program that does nothing."""
    with TemporaryDirectory() as directory:
        journal = Path(directory) / "journal"
        with Journal.open(journal) as writer:
            writer.append([Entry(event=event) for event in samples.configuration()], time_ns=0)
        python, typer, library, log = side_by_side(
            _process("-c", "pass"),
            _process("-c", EMPTY_TYPER),
            _process("-c", "import vpcrouter"),
            _process("-m", "vpcrouter", "--journal", str(journal), "log"),
            rounds=1 if smoke else 15,
        )
    yield Row(what="import vpcrouter", peer_name="bare Python", peer=python, ours=library)
    yield Row(
        what="vpcrouter log, small journal",
        peer_name="empty Typer program",
        peer=typer,
        ours=log,
        reach=Reach(at_most_times=2),
    )


def _process(*words: str) -> Measurement:
    return lambda: timed(lambda: subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL))
