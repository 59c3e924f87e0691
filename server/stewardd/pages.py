"""
The rows of a table page by page: each a short read, up to a bound that is fixed at the start.

Pure but for what they ask the store they are handed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from peewee import SQL, Select, fn

from stewardd.filters import narrowed
from stewardd.lines import cell
from stewardd.store import Reading
from stewardd.store.keyset import Behind
from stewardd.tables import Table

MOST_ROWS = 4000  # a page
FIRST_ROWS = 250  # of the first page, by which it is known how long a line is
ROW_WEIGHT = 12  # characters a column, beside the wide ones: what most take


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows."""

    content: Any  # lines as bytes, or a list of rows
    rows: int
    key: int  # of the last row


class Pages(Protocol):
    """The rows of a table, page by page. They can be handed to another process."""

    def after(self, store: Reading, key: int, last: int) -> Page | None:
        """Return the next rows behind *key* up to *last*; None at the end."""


class Lines(Pages):
    """Those that are *chosen*, each as a *line*: pages of bytes."""

    def __init__(self, table: Table, chosen: Sequence[Any], *, line: Any, weight: int) -> None:
        """Prepare to read pages of about *weight* bytes."""
        self._weight = weight
        self._rows = FIRST_ROWS
        wide = [fn.COALESCE(fn.LENGTH(each.source), 0) for each in table.columns if each.wide]
        size = sum(wide, SQL(str(ROW_WEIGHT * len(table.columns))))
        self._outline = Behind(
            narrowed(table.model.select(size.alias("size"), table.key.alias("key")), chosen),
            table.key,
            around=lambda rows: Select([rows], [fn.MAX(SQL("key")), fn.SUM(SQL("size"))]),
        )
        lines = fn.GROUP_CONCAT(SQL("line"), "").cast("BLOB")
        self._content = Behind(
            _rows(table, chosen, [line.alias("line")]),
            table.key,
            around=lambda rows: Select([rows], [lines, fn.COUNT(SQL("*"))]),
        )

    def after(self, store: Reading, key: int, last: int) -> Page | None:
        while True:
            end, size = store.sole(self._outline(key, last, self._rows))
            if end is None:
                return None
            if size <= 2 * self._weight or self._rows == 1:
                break
            self._rows = max(1, self._rows * self._weight // size)
        content, count = store.sole(self._content(key, end, self._rows))
        content = content or b""  # what there was may be gone by now
        if count:
            self._rows = min(max(1, count * self._weight // len(content)), 2 * self._rows, MOST_ROWS)
        return Page(content, count, end)


class Rows(Pages):
    """Those that are *chosen*, their columns as cells: pages of lists."""

    def __init__(self, table: Table, chosen: Sequence[Any], *, raw: bool, weight: int) -> None:
        """Prepare to read pages of about *weight* characters."""
        self._weight = weight
        columns = [cell(each, raw=raw) for each in table.columns]
        self._query = Behind(_rows(table, chosen, [*columns, table.key]), table.key)
        self._wide = [index for index, each in enumerate(table.columns) if each.wide]
        self._least = ROW_WEIGHT * len(table.columns)

    def after(self, store: Reading, key: int, last: int) -> Page | None:
        rows = store.first(self._query(key, last, MOST_ROWS), most=self._weight, weigh=self._weigh)
        return Page(rows, len(rows), rows[-1][-1]) if rows else None

    def _weigh(self, row: tuple[Any, ...]) -> int:
        return self._least + sum(len(row[index] or "") for index in self._wide)


def _rows(table: Table, chosen: Sequence[Any], columns: Sequence[Any]) -> Any:
    query: Any = narrowed(table.model.select(*columns), chosen)
    return query.join(table.joined[0], on=table.joined[1]) if table.joined else query
