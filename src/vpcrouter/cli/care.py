"""`journal …`: care of the journal. All but `repair`, `snapshot` and `import` read only, beside a running agent."""

from __future__ import annotations

import sys
import time
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpcrouter.cli.history import existing, moment, parse_point
from vpcrouter.cli.output import fail, note, options, say, say_json, say_listing
from vpcrouter.errors import KeyFileError, MissingArchiveError

if TYPE_CHECKING:
    from vpcrouter.journal import Keys

app = typer.Typer(no_args_is_help=True, help="Care of the journal.", rich_markup_mode=None)


@app.command("verify")
def verify(ctx: typer.Context) -> None:
    """Check every record: checksums, hash chain, numbers, content. Ends with 1 if the journal is damaged.

    Says how far it is sound, and the chain value there: noted elsewhere, it later proves that nothing was changed.
    Without a key of its key file, everything but the secrets under that key is checked; that ends with 1 as well.
    """
    from vpcrouter.journal import verify

    found = verify(existing(options(ctx).journal))
    if options(ctx).json:
        say_json(
            {
                "sound": found.fault is None,
                "sound_until": found.sound_until,
                "chain": found.chain,
                "segments": found.segments,
                "bytes": found.size,
                "torn_bytes": found.torn,
                "archived_until": found.archived,
                "archive": found.archive or None,
                "archive_checked": found.archive_checked,
                "fault": str(found.fault) if found.fault is not None else None,
            }
        )
    else:
        say(f"sound until record {found.sound_until}, chain {found.chain}")
        if found.archived:
            checked = "checked as well" if found.archive_checked else "not there, and not checked"
            say(f"records up to {found.archived} are in the archive {found.archive}: {checked}")
        if found.torn and found.fault is None:
            say(f"{found.torn} bytes of an unfinished group at the end: never acknowledged, the next writer cuts them")
        if found.fault is not None:
            say(str(found.fault))
    if found.fault is not None:
        sys.exit(1)


@app.command("repair")
def repair(ctx: typer.Context) -> None:
    """Keep what is provably sound and move the rest aside; nothing is deleted. No agent may run."""
    from vpcrouter.journal import repair

    done = repair(existing(options(ctx).journal))
    moved = [str(path) for path in done.moved] + ([str(done.torn_tail.kept)] if done.torn_tail is not None else [])
    if options(ctx).json:
        say_json({"seq": done.seq, "moved": moved})
        return
    say(f"the journal is sound until record {done.seq}, its last")
    for path in moved:
        say(f"moved aside: {path}")


@app.command("stats")
def stats(ctx: typer.Context) -> None:
    """Sizes, counts and sizes by kind of event, rates, age, snapshot, archive, keys, reserve."""
    from vpcrouter.journal import Keys, find_snapshot, read_archive, reserve_bytes, stats
    from vpcrouter.state_codec import SCHEMA

    directory = existing(options(ctx).journal)
    found = stats(directory)
    try:
        snapshot, _ = find_snapshot(directory, schema=SCHEMA)
    except MissingArchiveError:
        snapshot = None
    known = read_archive(directory)
    line = {
        "records": found.records,
        "groups": found.groups,
        "first_seq": found.first_seq,
        "last_seq": found.last_seq,
        "first_time": moment(found.first_time_ns) if found.records else None,
        "last_time": moment(found.last_time_ns) if found.records else None,
        "segments": found.segments,
        "bytes": found.size,
        "largest_record_bytes": found.largest_record,
        "torn_bytes": found.torn,
        "age_s": round(time.time() - found.first_time_ns / 1e9) if found.records else None,
        "records_per_day": _per_day(found.records, found.last_time_ns - found.first_time_ns),
        "bytes_per_day": _per_day(sum(found.kind_sizes.values()), found.last_time_ns - found.first_time_ns),
        "records_since_snapshot": found.last_seq - snapshot.seq if snapshot is not None else None,
        "sealed_records": dict(found.sealed),
        "records_with_secrets_in_clear": found.in_clear,
        "reserve_bytes": reserve_bytes(directory),
        "aside_files": found.aside_files,
        "aside_bytes": found.aside_size,
        "archived_until": known.until if known is not None else 0,
        "archive": str(known.directory) if known is not None else None,
        "archive_reachable": known is None or known.is_there,
        **_keys(Keys.beside(directory)),
        "snapshot_seq": snapshot.seq if snapshot is not None else None,
        "kinds": dict(found.kinds),
        "kind_bytes": dict(found.kind_sizes),
    }
    if options(ctx).json:
        say_json(line)
    else:
        say_listing(line)


def _per_day(amount: int, span_ns: int) -> float | None:
    """None while there is no day to speak of: less than a minute from the first record to the last."""
    return round(amount * 86_400e9 / span_ns, 1) if span_ns >= 60e9 else None


def _keys(keys: Keys) -> dict[str, Any]:
    """What can be told of the key file; never a key."""
    line: dict[str, Any] = {"key_file": str(keys.path), "key_id": None, "key_ids": [], "key_fault": None}
    try:
        return {**line, "key_id": keys.current, "key_ids": list(keys.ids())}
    except KeyFileError as error:
        return {**line, "key_fault": str(error)}


@app.command("snapshot")
def snapshot(ctx: typer.Context) -> None:
    """Write a snapshot of the state, so that the next open is quick. An agent does this by itself."""
    from vpcrouter.journal import write_snapshot
    from vpcrouter.router import Router

    directory = existing(options(ctx).journal)
    with Router.open(directory) as router:
        path = write_snapshot(directory, router.snapshot())
    say_json({"path": str(path)}) if options(ctx).json else say(str(path))


@app.command("archive")
def archive(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The archive of this journal, and of no other.")],
    before: Annotated[
        str, typer.Option("--before", metavar="SEQ|TIME", help="Only what is before this point. All but the newest.")
    ] = "",
) -> None:
    """Move older segments to an archive; the journal goes on from what the state was then. Also beside an agent.

    What is older can still be read (`log`, `state --at`) as long as the archive is there. Segments are moved whole.
    """
    from vpcrouter.archiving import archive_records
    from vpcrouter.journal import first_at

    directory = existing(options(ctx).journal)
    seq, time_ns = parse_point(before) if before else (None, None)
    if seq is None:
        seq = first_at(directory, time_ns) if time_ns is not None else sys.maxsize
    done = archive_records(directory, to, before=seq, time_ns=time.time_ns())
    if options(ctx).json:
        say_json({"until": done.until, "directory": str(done.directory), "moved": [str(path) for path in done.moved]})
    elif not done.until:
        say("nothing to archive: there is no whole segment before this point")
    else:
        say(f"records up to {done.until} are in the archive {done.directory}; {len(done.moved)} segments moved")


@app.command("export")
def export(
    ctx: typer.Context,
    reveal_secrets: Annotated[
        bool, typer.Option("--reveal-secrets", help="Print secrets in clear: give the file mode 0600.")
    ] = False,
) -> None:
    """Print every record as a JSON line. Secrets stay sealed: to import them, the key file is needed.

    Example: vpcrouter journal export > journal.jsonl
    """
    from vpcrouter.journal import export_lines

    for line in export_lines(existing(options(ctx).journal), reveal_secrets=reveal_secrets):
        say(line)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="What `journal export` printed; - is standard input.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="The key file of the journal that was exported.")
    ] = None,
) -> None:
    """Append exported records to the journal, which must end where they begin; it is made if it is not there.

    Sealed secrets are opened with --keys, or with the journal's own keys, and sealed anew with those.
    """
    from vpcrouter.journal import Journal, Keys, import_lines

    try:
        data = sys.stdin.buffer if str(file) == "-" else file.open("rb")
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    # Bytes that are no text are refused with their line (PEP 383).
    with TextIOWrapper(data, "utf-8", "surrogateescape") as lines, Journal.open(options(ctx).journal) as journal:
        seq = import_lines(journal, lines, Keys(keys) if keys is not None else None)
    if options(ctx).json:
        say_json({"seq": seq})
    else:
        note(f"the journal ends with record {seq}")


@app.command("rotate-key")
def rotate_key(
    ctx: typer.Context,
    off: Annotated[bool, typer.Option("--off", help="No new key: new secrets stand in clear from now on.")] = False,
) -> None:
    """Add a key to the key file beside the journal; new secrets are sealed with it, also by a running agent.

    Older keys stay, since older records need them. Works before the journal is there, too.
    """
    from vpcrouter.journal import Keys, stats

    journal = options(ctx).journal
    keys = Keys.beside(journal)
    if not keys.ids() and journal.is_dir() and (lost := stats(journal).sealed):
        fail(
            f"{keys.path}: the journal has secrets that are sealed with key {min(lost)}, and there is no such file"
            " (bring it back from its copy first: it could not be joined with a new one)"
        )
    if off:
        keys.store_in_clear()
    else:
        keys.rotate()
    found = {"path": str(keys.path), "key_id": keys.current, "key_ids": list(keys.ids())}
    if options(ctx).json:
        say_json(found)
    elif off:
        say(f"{keys.path}: new secrets stand in clear from now on")
    else:
        say(f"{keys.path}: new secrets are sealed with key {keys.current}; make a copy of the file")
