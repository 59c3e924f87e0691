"""
Pages by place instead of by number: a page begins after the last row of the one before, however much came since.

Pure: composes queries and runs none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Place = tuple[int, int]  # a time in microseconds, and a key that tells rows of one time apart


def newest_first(query: Any, at: Any, key: Any, *, after: Place | None, limit: int) -> Any:
    """Return *query* in descending order of *at* and *key*, the first *limit* rows that come *after* a place."""
    if after is not None:
        time, number = after
        # The first bound is implied by the second; an index is searched by it.
        query = query.where((at <= time) & ((at < time) | ((at == time) & (key < number))))
    return query.order_by(at.desc(), key.desc()).limit(limit)


class Composed(NamedTuple):
    """A query as SQL, which Peewee has composed already."""

    sql: str
    parameters: tuple[Any, ...]


class Behind:
    """
    A query of the rows behind a key, up to another, and at most so many, in the order of the key.

    Composed once: that takes as long as reading a hundred rows. It can be handed to another process.
    """

    def __init__(self, query: Any, key: Any, *, around: Callable[[Any], Any] = lambda rows: rows) -> None:
        """Prepare *query*, which is under conditions of its own, by its *key*, with what is put *around* it."""
        rows = query.where(_above(key, 0), _upto(key, 0)).order_by(key).limit(1)
        self._sql, (*self._before, _, _, _) = around(rows).sql()

    def __call__(self, key: int, last: int, limit: int) -> Composed:
        """Return the query of the first *limit* rows behind *key* up to *last*."""
        return Composed(self._sql, (*self._before, key, last, limit))


def _above(place: Any, key: int) -> Any:
    return place > key


def _upto(place: Any, last: int) -> Any:
    return place <= last
