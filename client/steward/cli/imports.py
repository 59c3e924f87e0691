"""
`steward import`: what is brought in from elsewhere.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steward.cli import show
from steward.cli.options import Json, client
from steward.legacy import LegacyFile, SkippedTable
from steward.types import IMPORT_KINDS, LIMITS, Importable, ImportedTable, ImportRejection, ImportReport

app = typer.Typer(help="Bring in what was recorded elsewhere.", no_args_is_help=True)

SHOWN_REJECTIONS = 100
_TABLES = [kind.table for kind in IMPORT_KINDS]


def parse_zone(text: str) -> ZoneInfo:
    """Return the time zone named *text*."""
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError, a directory is an OSError
        raise typer.BadParameter("must be a time zone of the IANA database, such as Europe/Berlin") from None


@app.callback()
def _group() -> None:
    """Bring in what was recorded elsewhere."""  # or typer would make the one command the group


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
    with LegacyFile(file) as source, _progress(source.count, quiet=json) as progress:
        reading = _Reading(source.rows(zone=time_zone))
        report = client(ctx).import_interactions(_shown(reading, progress, source.count))
        report = reading.completed(report)
        skipped = source.skipped
    if json:
        show.document({**show.plain(report), "skipped_tables": skipped})
    else:
        _tell(report, skipped)
    raise typer.Exit(1 if report.rejected else 0)


class _Reading:
    """What is read of a file: batches for the server, and what can be no record at all."""

    def __init__(self, items: Iterator[Importable | ImportRejection]) -> None:
        self._items = items
        self.read = 0  # so far
        self._rejections: list[ImportRejection] = []  # the first ones
        self._rejected: Counter[str] = Counter()  # all of them, by table

    def batches(self) -> Iterator[list[Importable]]:
        """Yield what can be imported in batches that the server takes."""
        while read := list(islice(self._items, LIMITS.batch_size)):
            self.read += len(read)
            bad = [each for each in read if isinstance(each, ImportRejection)]
            self._rejected.update(each.table for each in bad)
            self._rejections += bad[: SHOWN_REJECTIONS - len(self._rejections)]
            yield [each for each in read if not isinstance(each, ImportRejection)]

    def completed(self, report: ImportReport) -> ImportReport:
        """Return the server's *report* with what never reached it."""
        rejections = sorted(
            (*report.rejections, *self._rejections), key=lambda each: (_TABLES.index(each.table), each.row)
        )
        rejected = self._rejected.total()
        return ImportReport(
            read=report.read + rejected,
            stored=report.stored,
            already_stored=report.already_stored,
            rejected=report.rejected + rejected,
            rejections=tuple(rejections[:SHOWN_REJECTIONS]),
            tables=tuple(self._tables(report)),
        )

    def _tables(self, report: ImportReport) -> Iterator[ImportedTable]:
        told = {each.table: each for each in report.tables}
        for table in _TABLES:
            rejected = self._rejected[table]
            if table in told or rejected:
                each = told.get(table) or ImportedTable(table=table, read=0, stored=0, already_stored=0, rejected=0)
                yield replace(each, read=each.read + rejected, rejected=each.rejected + rejected)


def _progress(total: int, *, quiet: bool) -> Progress:
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=quiet or not total)


def _shown(reading: _Reading, progress: Progress, total: int) -> Iterator[list[Importable]]:
    task = progress.add_task("importing", total=total)
    for batch in reading.batches():
        yield batch
        progress.update(task, completed=reading.read)  # when the next is asked for, this one is on its way
    progress.update(task, completed=total)


@dataclass(frozen=True)
class _Line:
    table: str
    row: int
    reason: str


def _tell(report: ImportReport, skipped: Sequence[SkippedTable]) -> None:
    show.console.print(
        f"read {report.read}, stored {report.stored}, already there {report.already_stored}, rejected {report.rejected}"
    )
    columns = ("table", "read", "stored", "already_stored", "rejected")
    show.rows(report.tables, title="By table", columns=columns)
    lines = [
        _Line(each.table, each.row, "; ".join(f"{violation.field} {violation.rule}" for violation in each.violations))
        for each in report.rejections
    ]
    if lines:
        show.rows(lines, title=f"Rejected, the first {len(lines)}", columns=("table", "row", "reason"))
    if skipped:
        show.rows(skipped, title="Skipped", columns=("table", "rows", "reason"))
