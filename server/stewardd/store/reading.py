"""
Reading a store: read-only connections, one for each thread, and what goes wrong with them told as errors.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import peewee

from stewardd.store.database import Readers, broken, explained
from stewardd.store.keyset import Composed


class Reading:
    """A store as those see it who only read. Works in any process, on any thread."""

    def __init__(self, path: Path, *, cache_kib: int = 16 * 1024) -> None:
        """Read the store at *path*; each thread's connection keeps up to *cache_kib* KiB of it in memory."""
        self.path = path
        self._readers = Readers(path, cache_kib=cache_kib)

    def rows(self, query: Any) -> list[tuple[Any, ...]]:
        """Return the rows of *query*, read on this thread's own connection."""
        with self._reading():
            # The bare cursor: Peewee would make a bool of a mean of bools.
            return list(self._executed(query))

    def first(self, query: Any, *, most: int, weigh: Callable[[tuple[Any, ...]], int]) -> list[tuple[Any, ...]]:
        """Return the first rows of *query*: up to the one with which, by *weigh*, they come to *most*."""
        weight, found = 0, []
        with self._reading(), closing(self._executed(query)) as rows:
            for row in rows:
                found.append(row)
                weight += weigh(row)
                if weight >= most:
                    break
        return found

    def one(self, query: Any) -> tuple[Any, ...] | None:
        """Return the first row of *query*, None when it has none."""
        rows = self.rows(query.limit(1))
        return rows[0] if rows else None

    def sole(self, query: Any) -> tuple[Any, ...]:
        """Return the one row of *query*, an aggregate."""
        (row,) = self.rows(query)
        return row

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Have all that this thread reads meanwhile be of one moment."""
        try:
            with self._readers.transaction("DEFERRED"):
                yield
        except peewee.DatabaseError as error:
            raise explained(error) from error

    def interrupt(self) -> None:
        """End the reads that are under way: they fail as Unavailable."""
        self._readers.interrupt_all()

    def close(self) -> None:
        """Let go of the store. Nobody may still read."""
        self._readers.close_all()

    def _executed(self, query: Any) -> Any:
        if isinstance(query, Composed):
            return self._readers.execute_sql(*query)  # type: ignore[no-untyped-call] # Peewee's stubs
        return self._readers.execute(query)  # type: ignore[no-untyped-call] # Peewee's stubs

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except peewee.DatabaseError as error:
            if not broken(error):
                raise
            raise explained(error) from error
