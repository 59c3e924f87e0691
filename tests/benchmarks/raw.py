"""
The baseline of batches: the bare insert of the same rows, into the same tables, indexes and pragmas, as durably.

Reads lines of "first count" and answers each with the seconds that those interactions took, a transaction a batch.
"""

import sys
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import Any

from steward import ids
from steward.types import Interaction
from stewardd.store.database import open_writer
from stewardd.store.models import Interaction as Interactions
from stewardd.store.models import Session
from stewardd.store.schema import migrate
from stewardd.store.times import micros
from tests.benchmarks.samples import interaction

Records = list[tuple[Any, ...]]


class Raw:
    """A store's file, without the store."""

    def __init__(self, path: Path, *, size: int) -> None:
        """Open a new file at *path*, for batches of *size*."""
        self._database = open_writer(path)
        migrate(self._database)
        self._size = size
        self._keys: dict[str, int] = {}
        self._insert = Interactions.insert_many([(0,) * 16], fields=_fields()).sql()[0]

    def record(self, indexes: range) -> float:
        """Insert the interactions of *indexes*; return the seconds it took. What goes before is not on the clock."""
        interactions = [interaction(index) for index in indexes]
        self._add_sessions(interactions)
        records = [self._record(index + 1, each) for index, each in zip(indexes, interactions, strict=True)]
        batches = [records[start : start + self._size] for start in range(0, len(records), self._size)]
        started = perf_counter()
        for batch in batches:
            self._commit(batch)
        return perf_counter() - started

    def _commit(self, batch: Records) -> None:
        connection: Any = self._database.connection()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(self._insert, batch)
        connection.execute("COMMIT")

    def _add_sessions(self, interactions: list[Interaction]) -> None:
        missing = {each.session_id: each for each in interactions if each.session_id not in self._keys}
        records = [(self._key(each), _pseudonym(each), each.user_role, *[0] * 11) for each in missing.values()]
        if records:
            Session.insert_many(records).bind(self._database).execute()

    def _key(self, each: Interaction) -> int:
        return self._keys.setdefault(each.session_id, len(self._keys) + 1)

    def _record(self, seq: int, each: Interaction) -> tuple[Any, ...]:
        assert each.occurred_at is not None
        at = micros(each.occurred_at)
        return (
            seq,
            ids.parse(each.interaction_id),
            self._keys[each.session_id],
            at,
            at,
            each.user_role,
            each.query,
            each.query_type,
            each.response_time_seconds,
            each.response_length,
            each.code_snippets_shown,
            each.citations_provided,
            each.success,
            each.user_rating,
            each.follow_up_query,
            each.conversation_turn,
        )


def _pseudonym(each: Interaction) -> str:
    """Return something as long as the pseudonym of the session of *each*."""
    return blake2b(each.session_id.encode(), digest_size=16).hexdigest()


def _fields() -> list[Any]:
    return [getattr(Interactions, name) for name in Interactions._meta.sorted_field_names]  # noqa: SLF001 -- as Peewee documents


def main(path: str, size: str) -> None:
    """Answer lines until standard input ends."""
    raw = Raw(Path(path), size=int(size))
    print("ready", flush=True)
    for line in sys.stdin:
        first, count = map(int, line.split())
        print(raw.record(range(first, first + count)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
