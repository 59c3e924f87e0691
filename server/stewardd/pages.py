"""
The rows of a table page by page: each a short read, up to a bound that is fixed at the start.

Pure but for what they ask the store they are handed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from peewee import SQL, RawQuery, Select, fn

from stewardd.lines import cell
from stewardd.store import Store
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
    """The rows of a table, page by page."""

    def after(self, key: int, last: int) -> Page | None:
        """Return the next rows behind *key* up to *last*; None at the end."""


class Lines(Pages):
    """Those that are *chosen*, each as a *line*: pages of bytes."""

    def __init__(self, store: Store, table: Table, chosen: Sequence[Any], *, line: Any, weight: int) -> None:
        """Prepare to read pages of about *weight* bytes."""
        self._store = store
        self._weight = weight
        self._rows = FIRST_ROWS
        wide = [fn.COALESCE(fn.LENGTH(each.source), 0) for each in table.columns if each.wide]
        size = sum(wide, SQL(str(ROW_WEIGHT * len(table.columns))))
        outline = _rows(table, chosen, [size.alias("size"), table.key.alias("key")])
        content = _rows(table, chosen, [line.alias("line")])
        # Composed once: that takes as long as reading a hundred rows.
        self._outline = _Composed(Select([outline], [fn.MAX(SQL("key")), fn.SUM(SQL("size"))]))
        lines = fn.GROUP_CONCAT(SQL("line"), "").cast("BLOB")
        self._content = _Composed(Select([content], [lines, fn.COUNT(SQL("*"))]))

    def after(self, key: int, last: int) -> Page | None:
        while True:
            end, size = self._store.sole(self._outline(key, last, self._rows))
            if end is None:
                return None
            if size <= 2 * self._weight or self._rows == 1:
                break
            self._rows = max(1, self._rows * self._weight // size)
        content, count = self._store.sole(self._content(key, end, self._rows))
        content = content or b""  # what there was may be gone by now
        if count:
            self._rows = min(max(1, count * self._weight // len(content)), 2 * self._rows, MOST_ROWS)
        return Page(content, count, end)


class Rows(Pages):
    """Those that are *chosen*, their columns as cells: pages of lists."""

    def __init__(self, store: Store, table: Table, chosen: Sequence[Any], *, raw: bool, weight: int) -> None:
        """Prepare to read pages of about *weight* characters."""
        self._store = store
        self._weight = weight
        columns = [cell(each, raw=raw) for each in table.columns]
        self._query = _Composed(_rows(table, chosen, [*columns, table.key]))
        self._wide = [index for index, each in enumerate(table.columns) if each.wide]
        self._least = ROW_WEIGHT * len(table.columns)

    def after(self, key: int, last: int) -> Page | None:
        rows = self._store.first(self._query(key, last, MOST_ROWS), most=self._weight, weigh=self._weigh)
        return Page(rows, len(rows), rows[-1][-1]) if rows else None

    def _weigh(self, row: tuple[Any, ...]) -> int:
        return self._least + sum(len(row[index] or "") for index in self._wide)


class _Composed:
    """A query of rows behind a key, up to a key, and up to a number."""

    def __init__(self, query: Any) -> None:
        self._sql, (*self._before, _, _, _) = query.sql()

    def __call__(self, *place: int) -> RawQuery:
        return RawQuery(self._sql, (*self._before, *place))


def _rows(table: Table, chosen: Sequence[Any], columns: Sequence[Any]) -> Any:
    query: Any = table.model.select(*columns)
    query = query.join(table.joined[0], on=table.joined[1]) if table.joined else query
    return query.where(*chosen, _above(table.key, 0), _upto(table.key, 0)).order_by(table.key).limit(1)


def _above(place: Any, key: int) -> Any:
    return place > key


def _upto(place: Any, last: int) -> Any:
    return place <= last
