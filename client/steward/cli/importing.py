"""
What the commands of `steward import` share: reading in batches, showing how far it is, and telling what became of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from steward.cli import show
from steward.types import (
    IMPORT_KINDS,
    LIMITS,
    Importable,
    ImportedInteraction,
    ImportedTable,
    ImportRejection,
    ImportReport,
)

SHOWN_REJECTIONS = 100
MOST_BYTES = LIMITS.message_bytes // 2  # of questions in a batch, of which the last may be long
_TABLES = [kind.table for kind in IMPORT_KINDS]


class Reading:
    """What is read of a file: batches for the server, and what can be no record at all."""

    def __init__(self, items: Iterator[Importable | ImportRejection]) -> None:
        self._items = items
        self.read = 0  # so far
        self._rejections: list[ImportRejection] = []  # the first ones
        self._rejected: Counter[str] = Counter()  # all of them, by table

    def batches(self) -> Iterator[list[Importable]]:
        """Yield what can be imported in batches that the server takes."""
        while read := self._next():
            self.read += len(read)
            bad = [each for each in read if isinstance(each, ImportRejection)]
            self._rejected.update(each.table for each in bad)
            self._rejections += bad[: SHOWN_REJECTIONS - len(self._rejections)]
            yield [each for each in read if not isinstance(each, ImportRejection)]

    def _next(self) -> list[Importable | ImportRejection]:
        found: list[Importable | ImportRejection] = []
        size = 0
        for each in self._items:
            found.append(each)
            size += _size(each)
            if len(found) == LIMITS.batch_size or size > MOST_BYTES:
                break
        return found

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


def _size(each: Importable | ImportRejection) -> int:
    """Return about how many bytes of text *each* has at most, where that can be much."""
    if not isinstance(each, ImportedInteraction):
        return 0
    query = each.interaction.query
    return len(query) if query.isascii() else 4 * len(query)


def progress(total: int, counted: ProgressColumn, *, quiet: bool) -> Progress:
    """Return a bar up to *total*, with how much of it is done as *counted* shows it."""
    columns = (TextColumn("importing"), BarColumn(), counted, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=quiet or not total)


def shown(reading: Reading, bar: Progress, total: int, done: Callable[[], int]) -> Iterator[list[Importable]]:
    """Yield the batches of *reading*, with *bar* showing how much of the *total* is *done*."""
    task = bar.add_task("importing", total=total)
    for batch in reading.batches():
        yield batch
        bar.update(task, completed=done())  # when the next is asked for, this one is on its way
    bar.update(task, completed=total)


@dataclass(frozen=True)
class _Line:
    table: str
    row: int
    reason: str


def tell(report: ImportReport) -> None:
    """Print what became of an import."""
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
