"""
`steward import`: what is brought in from elsewhere, or back.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.progress import DownloadColumn, MofNCompleteColumn

from steward.cli import show
from steward.cli.importing import Reading, progress, shown, tell
from steward.cli.options import Json, client
from steward.legacy import LegacyFile
from steward.tables import Source, csv_rows, jsonl_rows
from steward.types import Importable, ImportRejection

app = typer.Typer(help="Bring in what was recorded elsewhere, or exported.", no_args_is_help=True)

File = Annotated[
    Path, typer.Argument(metavar="FILE|-", help="What was exported, packed if it ends in .gz or .zst; - is the input.")
]


def parse_fingerprint(text: str) -> str:
    """Return the fingerprint in *text*."""
    if not re.fullmatch("[0-9a-fA-F]{32}", text):
        raise typer.BadParameter("must be the key_fingerprint that steward info shows: 32 hexadecimal digits")
    return text.lower()


Preserve = Annotated[
    str | None,
    typer.Option(
        parser=parse_fingerprint,
        metavar="FINGERPRINT",
        help="Keep when it was recorded and rated, too: exported under the server's key, whose fingerprint this is.",
    ),
]


def parse_zone(text: str) -> ZoneInfo:
    """Return the time zone named *text*."""
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError, a directory is an OSError
        raise typer.BadParameter("must be a time zone of the IANA database, such as Europe/Berlin") from None


@app.command(short_help="Import a file of the predecessor.")
def legacy(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A .db or .db.gz of the predecessor, of either generation.")],
    time_zone: Annotated[
        ZoneInfo, typer.Option(parser=parse_zone, metavar="ZONE", help="The zone of its times, which name none.")
    ] = "UTC",  # type: ignore[assignment] # typer parses the default too
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Import a file of the predecessor: its interactions, what it recorded beside them, and what it says of sessions.

    Stored as it goes, each row once: after a break, run it again. Exits with 1 when rows were rejected.
    """
    with LegacyFile(file) as source, progress(source.count, MofNCompleteColumn(), quiet=json) as bar:
        reading = Reading(source.rows(zone=time_zone))
        report = client(ctx).import_interactions(shown(reading, bar, source.count, lambda: reading.read))
        report = reading.completed(report)
        skipped = source.skipped
    if json:
        show.document({**show.plain(report), "skipped_tables": skipped})
    else:
        tell(report)
        if skipped:
            show.rows(skipped, title="Skipped", columns=("table", "rows", "reason"))
    raise typer.Exit(1 if report.rejected else 0)


@app.command()
def jsonl(ctx: typer.Context, file: File, preserve: Preserve = None, json: Json = False) -> None:  # noqa: FBT002
    """
    Import interactions that were exported as JSON Lines: an object a line.

    Ids and pseudonyms are kept. Stored as it goes, each row once: after a break, run it again. Exits with 1 when rows
    were rejected.
    """
    with Source(file) as source:
        rows = jsonl_rows(source, preserve=preserve is not None)
        _bring_in(ctx, source, rows, preserve=preserve or "", json=json)


@app.command("csv")
def csv_(
    ctx: typer.Context,
    file: File,
    raw: Annotated[  # noqa: FBT002
        bool, typer.Option("--raw", help="It was exported raw: no apostrophe stands before what looks like a formula.")
    ] = False,
    preserve: Preserve = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Import interactions that were exported as CSV, the columns in whatever order.

    Ids and pseudonyms are kept. Stored as it goes, each row once: after a break, run it again. Exits with 1 when rows
    were rejected.
    """
    with Source(file) as source:
        rows = csv_rows(source, raw=raw, preserve=preserve is not None)
        _bring_in(ctx, source, rows, preserve=preserve or "", json=json)


def _bring_in(
    ctx: typer.Context, source: Source, rows: Iterator[Importable | ImportRejection], *, preserve: str, json: bool
) -> None:
    reading = Reading(rows)
    with progress(source.size, DownloadColumn(), quiet=json) as bar:
        report = client(ctx).import_interactions(shown(reading, bar, source.size, source.done), preserve=preserve)
    report = reading.completed(report)
    show.document(report) if json else tell(report)
    raise typer.Exit(1 if report.rejected else 0)
