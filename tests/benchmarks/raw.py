"""
The baseline of batches: the bare insert of the same rows, interactions and sessions, into the same tables, indexes and
pragmas, as durably.

Reads lines of "first count" and answers each with the seconds that those interactions took, a transaction a batch.
"""

import sys
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import Any

from steward import ids
from steward.types import Interaction
from stewardd.store.append import filled
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
        self._insert, self._insert_session = (
            model.insert_many([(0,) * len(filled(model))], fields=filled(model)).sql()[0]
            for model in (Interactions, Session)
        )

    def record(self, indexes: range) -> float:
        """Insert the interactions of *indexes* and their sessions; return the seconds it took, making rows apart."""
        interactions = [(index, interaction(index)) for index in indexes]
        batches = [interactions[start : start + self._size] for start in range(0, len(interactions), self._size)]
        records = [
            (self._sessions(batch), [self._record(index + 1, each) for index, each in batch]) for batch in batches
        ]
        started = perf_counter()
        for sessions, rows in records:
            self._commit(sessions, rows)
        return perf_counter() - started

    def _commit(self, sessions: Records, rows: Records) -> None:
        connection: Any = self._database.connection()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(self._insert_session, sessions)
        connection.executemany(self._insert, rows)
        connection.execute("COMMIT")

    def _sessions(self, batch: list[tuple[int, Interaction]]) -> Records:
        """Return a row for each session that *batch* is the first to have: one insert, and none of our additions."""
        missing = {each.session_id: each for _, each in batch if each.session_id not in self._keys}
        return [(self._key(each), _pseudonym(each), each.user_role, *[0] * 11) for each in missing.values()]

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


def main(path: str, size: str) -> None:
    """Answer lines until standard input ends."""
    raw = Raw(Path(path), size=int(size))
    print("ready", flush=True)
    for line in sys.stdin:
        first, count = map(int, line.split())
        print(raw.record(range(first, first + count)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
