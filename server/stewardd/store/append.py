"""
How interactions get into the tables, with the sessions they belong to. Runs on the writer's thread, in its transaction.

Every SQLite call gives Python's lock away and has to win it back from the event loop, so calls are few: rows go in by
the dozen, under keys that the writer, being the only one, hands out itself.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from peewee import EXCLUDED, Case, SqliteDatabase

from stewardd.privacy import Pseudonym
from stewardd.store.models import Interaction, Session
from stewardd.store.row import Row, Stored, Times

MOST_ROWS = 64  # a statement; more is not faster
MOST_SESSIONS = 100_000  # whose keys are remembered


class Appender:
    """Stores rows, each once, and counts them in their sessions."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.reload()

    def reload(self) -> None:
        """Forget what was handed out since the last commit. Call it after every rollback."""
        self._keys: dict[Pseudonym, int] = {}
        self._next_seq = self._number("SELECT seq FROM sqlite_sequence WHERE name = 'interaction'") + 1
        self._next_key = self._number("SELECT MAX(key) FROM session") + 1
        self._newest_id: bytes = self._value("SELECT MAX(interaction_id) FROM interaction") or b""

    def append(self, rows: Sequence[Row], *, now: int) -> list[Stored]:
        """Store those of *rows* that are not there yet, as recorded at *now*; say where each stands."""
        known = self._known([row.interaction_id for row in rows if row.interaction_id <= self._newest_id])
        places: list[Stored] = []
        fresh: list[tuple[int, Row]] = []
        for row in rows:
            place = known.get(row.interaction_id)
            if place is not None:
                places.append(Stored(*place, True))
                continue
            known[row.interaction_id] = place = (self._next_seq, now)
            self._next_seq += 1
            fresh.append((place[0], row))
            places.append(Stored(*place, False))
        if fresh:
            self._insert(fresh, now)
        return places

    def restore(self, rows: Sequence[tuple[Row, Times]], *, now: int) -> list[bool]:
        """Store *rows* as `append` does, but as recorded and rated at their own times; say which were there already."""
        places = self.append([row for row, _ in rows], now=now)
        # Behind the append: this is no live call, so that the rows of those carry no times of their own.
        for (_, times), place in zip(rows, places, strict=True):
            if not place.already_stored:
                self._database.execute_sql(_update_times(), (*times, place.seq))
        return [place.already_stored for place in places]

    def _insert(self, fresh: list[tuple[int, Row]], now: int) -> None:
        keys = self._session_keys({row.session for _, row in fresh})
        self._run(_upsert_sessions, _totals(fresh, keys, now))
        records = [
            (seq, row[0], keys[row.session], now if row.occurred_at is None else row.occurred_at, now, *row[3:])
            for seq, row in fresh
        ]
        self._run(_insert_interactions, records)
        self._newest_id = max(self._newest_id, *(row.interaction_id for _, row in fresh))

    def _known(self, ids: list[bytes]) -> dict[bytes, tuple[int, int]]:
        found: dict[bytes, tuple[int, int]] = {}
        for part in _parts(ids):
            cursor = self._database.execute_sql(_select_interactions(len(part)), part)
            found.update({bytes(each): (seq, at) for each, seq, at in cursor})
        return found

    def _session_keys(self, pseudonyms: set[Pseudonym]) -> dict[Pseudonym, int]:
        """Return the key of each of *pseudonyms*, handing out new ones to those never seen."""
        if len(self._keys) > MOST_SESSIONS:
            self._keys.clear()
        missing = [each for each in pseudonyms if each not in self._keys]
        for part in _parts(missing):
            self._keys.update(self._database.execute_sql(_select_sessions(len(part)), part))
        for pseudonym in missing:
            if pseudonym not in self._keys:
                self._keys[pseudonym] = self._next_key
                self._next_key += 1
        return self._keys

    def _run(self, statement: Any, records: list[tuple[Any, ...]]) -> None:
        for part in _parts(records):
            self._database.execute_sql(statement(len(part)), list(chain.from_iterable(part)))

    def _value(self, sql: str) -> Any:
        row = self._database.execute_sql(sql).fetchone()
        return row[0] if row else None

    def _number(self, sql: str) -> int:
        return self._value(sql) or 0


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    """Cut *items* into parts for a statement each."""
    return (items[start : start + MOST_ROWS] for start in range(0, len(items), MOST_ROWS))


def _totals(fresh: list[tuple[int, Row]], keys: dict[Pseudonym, int], now: int) -> list[tuple[Any, ...]]:
    """Return, for each session among *fresh*, the record that adds its new interactions to what it has."""
    sums: dict[Pseudonym, list[Any]] = {}
    for _, row in fresh:
        at = now if row.occurred_at is None else row.occurred_at
        total = sums.get(row.session)
        if total is None:
            total = sums[row.session] = [keys[row.session], row.session, row.user_role, at, at, *[0] * 9]
        elif at < total[3]:
            total[3] = at
        elif at > total[4]:
            total[4] = at
        total[5] += 1
        if row.success:
            total[6] += 1
            total[7] += bool(row.code_snippets_shown or row.citations_provided)
        if row.response_time_seconds is not None:
            total[8] += 1
            total[9] += row.response_time_seconds
        total[10] += row.code_snippets_shown
        total[11] += row.citations_provided
        if row.user_rating is not None:
            total[12] += 1
            total[13] += row.user_rating
    return [tuple(each) for each in sums.values()]


# The statements, composed by Peewee once for each number of rows

_DIALECT = SqliteDatabase(None)  # says how to spell them; never connects


# The fields that appending fills; what comes behind is said later: of a session by an import, of a row by a rating.
FILLED = {Session: 14, Interaction: 16}


def filled(model: Any) -> list[Any]:
    """Return the fields of *model* that appending fills."""
    names = model._meta.sorted_field_names  # noqa: SLF001 -- Peewee's documented way
    return [getattr(model, name) for name in names[: FILLED[model]]]


@cache
def _insert_interactions(count: int) -> str:
    return str(Interaction.insert_many(_blanks(Interaction, count), fields=filled(Interaction)).sql()[0])


@cache
def _upsert_sessions(count: int) -> str:
    added = filled(Session)[5:]
    update: dict[Any, Any] = {field: field + getattr(EXCLUDED, field.name) for field in added}
    update[Session.started_at] = _chosen(EXCLUDED.started_at, Session.started_at, greater=False)
    update[Session.last_activity_at] = _chosen(EXCLUDED.last_activity_at, Session.last_activity_at, greater=True)
    insert = Session.insert_many(_blanks(Session, count), fields=filled(Session)).bind(_DIALECT)
    return str(insert.on_conflict(conflict_target=[Session.key], update=update).sql()[0])


def _chosen(new: Any, old: Any, *, greater: bool) -> Any:
    """Return the expression for the greater or the lesser of two, which databases spell differently."""
    return Case(None, [(new > old if greater else new < old, new)], old)


def _blanks(model: Any, count: int) -> list[tuple[int, ...]]:
    return [(0,) * len(filled(model))] * count


@cache
def _select_interactions(count: int) -> str:
    query = Interaction.select(Interaction.interaction_id, Interaction.seq, Interaction.recorded_at)
    return str(query.where(Interaction.interaction_id.in_([b""] * count)).sql()[0])


@cache
def _update_times() -> str:
    query = Interaction.update(recorded_at=0, rated_at=0).where(Interaction.seq == 0)
    return str(query.bind(_DIALECT).sql()[0])


@cache
def _select_sessions(count: int) -> str:
    return str(Session.select(Session.pseudonym, Session.key).where(Session.pseudonym.in_([""] * count)).sql()[0])
