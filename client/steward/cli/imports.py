"""
`steward import`: what is brought in from elsewhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steward.cli import show
from steward.cli.options import Json, client
from steward.legacy import LegacyFile
from steward.types import LIMITS, ImportedInteraction, ImportRejection, ImportReport

app = typer.Typer(help="Bring in interactions from elsewhere.", no_args_is_help=True)

SHOWN_REJECTIONS = 100


def parse_zone(text: str) -> ZoneInfo:
    """Return the time zone named *text*."""
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError, a directory is an OSError
        raise typer.BadParameter("must be a time zone of the IANA database, such as Europe/Berlin") from None


@app.callback()
def _group() -> None:
    """Bring in interactions from elsewhere."""  # or typer would make the one command the group


@app.command()
def legacy(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A .db or .db.gz of the predecessor, of either generation.")],
    time_zone: Annotated[
        ZoneInfo, typer.Option(parser=parse_zone, metavar="ZONE", help="The zone of its times, which name none.")
    ] = "UTC",  # type: ignore[assignment] # typer parses the default too
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Import the predecessor's user_interactions; sessions follow from them.

    Stored as it goes, each row once: after a break, run it again. Exits with 1 when rows were rejected.
    """
    with LegacyFile(file) as source, _progress(source.count, quiet=json) as progress:
        reading = _Reading(source.interactions(zone=time_zone))
        report = client(ctx).import_interactions(_shown(reading.batches(), progress, source.count))
        report = reading.completed(report)
        skipped = source.skipped
    if json:
        show.document({**show.plain(report), "skipped_tables": skipped})
    else:
        _tell(report, skipped)
    raise typer.Exit(1 if report.rejected else 0)


class _Reading:
    """What is read of a file: batches for the server, and what is no interaction at all."""

    def __init__(self, items: Iterator[ImportedInteraction | ImportRejection]) -> None:
        self._items = items
        self._rejections: list[ImportRejection] = []
        self._rejected = 0

    def batches(self) -> Iterator[list[ImportedInteraction]]:
        """Yield the interactions in batches that the server takes."""
        while read := list(islice(self._items, LIMITS.batch_size)):
            bad = [each for each in read if isinstance(each, ImportRejection)]
            self._rejected += len(bad)
            self._rejections += bad[: SHOWN_REJECTIONS - len(self._rejections)]
            yield [each for each in read if isinstance(each, ImportedInteraction)]

    def completed(self, report: ImportReport) -> ImportReport:
        """Return the server's *report* with what never reached it."""
        rejections = sorted((*report.rejections, *self._rejections), key=lambda each: each.row)
        return ImportReport(
            read=report.read + self._rejected,
            stored=report.stored,
            already_stored=report.already_stored,
            rejected=report.rejected + self._rejected,
            rejections=tuple(rejections[:SHOWN_REJECTIONS]),
        )


def _progress(total: int, *, quiet: bool) -> Progress:
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=quiet or not total)


def _shown(
    batches: Iterable[list[ImportedInteraction]], progress: Progress, total: int
) -> Iterator[list[ImportedInteraction]]:
    task = progress.add_task("importing", total=total)
    for batch in batches:
        yield batch
        progress.advance(task, len(batch))  # when the next is asked for, this one is on its way


@dataclass(frozen=True)
class _Line:
    row: int
    reason: str


def _tell(report: ImportReport, skipped: dict[str, int]) -> None:
    show.console.print(
        f"read {report.read}, stored {report.stored}, already there {report.already_stored}, rejected {report.rejected}"
    )
    lines = [
        _Line(each.row, "; ".join(f"{violation.field} {violation.rule}" for violation in each.violations))
        for each in report.rejections
    ]
    if lines:
        show.rows(lines, title=f"Rejected, the first {len(lines)}", columns=("row", "reason"))
    if skipped:
        named = ", ".join(f"{table} ({count} rows)" for table, count in skipped.items())
        show.console.print(f"skipped tables: {named}", markup=False)
