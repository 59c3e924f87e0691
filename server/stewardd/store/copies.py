"""
Copies of a store's file: taken at one moment while it is in use, and looked into.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from peewee import DatabaseError, SqliteDatabase

from steward.errors import Unavailable
from stewardd.store import schema
from stewardd.store.database import APPLICATION_ID, PAGE, SQLITE_ERROR, copy, is_damage, open_copy, room, whose
from stewardd.store.facts import fact

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"

_STRANGE = "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'"
_SAMPLE = """
SELECT i.seq, i.query, s.pseudonym FROM interaction i LEFT JOIN session s ON s.key = i.session
ORDER BY i.seq DESC LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a copy."""

    tables: tuple[tuple[str, int], ...]  # and how many rows each has, by name
    newest_seq: int  # that was handed out
    newest_recorded_at: int | None  # microseconds
    store: str
    epoch: str
    schema_version: str
    key: str | None  # the fingerprint of the key that it is bound to


def take(store: Path, target: Path, *, rest: bool) -> None:
    """
    Copy the file of a *store* that is in use, all of one moment, to *target*, an empty file, with a *rest* or without.

    Raises: OSError when there is no room, Unavailable when the store cannot be read.
    """
    try:
        with room():
            copy(store, target, rest=rest)
    except SQLITE_ERROR as error:
        raise Unavailable("the store cannot be copied at the moment", reason="STORE_UNAVAILABLE") from error


def contents(path: Path, *, shared: bool = False) -> Contents:
    """Look into the copy at *path*, or into a store that is *shared*. Raises: Unavailable when it cannot be read."""
    with _reading(path, shared=shared) as db:
        db.execute_sql("PRAGMA cache_size=-2048")  # KiB: it comes by each page but once
        names = [name for (name,) in db.execute_sql(_TABLES)]
        newest = db.execute_sql("SELECT recorded_at FROM interaction ORDER BY seq DESC LIMIT 1").fetchone()
        handed_out = db.execute_sql("SELECT seq FROM sqlite_sequence WHERE name = 'interaction'").fetchone()
        return Contents(
            tables=tuple((name, _rows(db, name)) for name in names),
            newest_seq=handed_out[0] if handed_out else 0,
            newest_recorded_at=newest[0] if newest else None,
            store=fact(db, "store") or "",
            epoch=fact(db, "epoch") or "",
            schema_version=schema.version(db),
            key=fact(db, "key"),
        )


def standing(store: Path) -> Contents | None:
    """
    Look into a *store* that nobody uses; return None where there is none, or one that never belonged to a key.

    Raises: FailedPrecondition when it is another program's, Unavailable when it cannot be read.
    """
    if not store.exists():
        return None
    with _reading(store, shared=_has_log(store)) as db:
        if whose(db, store) != APPLICATION_ID or not db.get_tables():
            return None
    found = contents(store, shared=_has_log(store))
    return found if found.key else None


def misfits(path: Path) -> list[str]:
    """Return what is wrong with how the copy at *path*, which is up to date, is laid out."""
    with _reading(path) as db:
        return [f"its table {name} is not one that a store has" for name in schema.misfits(db)]


def is_damaged(store: Path) -> bool:
    """Whether the file of a *store* that nobody uses is so damaged that a restore could not read or migrate it."""
    try:
        found = standing(store)
    except Unavailable as error:
        return is_damage(error.__cause__)
    lacking = found is not None and schema.is_older(found.schema_version)
    return lacking and bool(complaints(store, shared=_has_log(store)))


def _has_log(store: Path) -> bool:
    """Whether a *store* that nobody uses has a log beside its file: to read that, SQLite makes files beside it."""
    log = store.with_name(f"{store.name}-wal")
    return log.exists() and log.stat().st_size > 0


def complaints(path: Path, *, shared: bool = False) -> list[str]:
    """Return what is wrong with the copy at *path*, or a store that is *shared*, whatever it holds."""
    try:
        with _reading(path, shared=shared) as db:
            return list(_complaints(db))
    except Unavailable as error:
        return [error.message]


def _complaints(db: SqliteDatabase) -> Iterator[str]:
    if db.execute_sql("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        yield "it is another program's database"
    strange = [name for (name,) in db.execute_sql(_STRANGE)]
    if strange:
        yield f"it has {len(strange)} triggers, views or virtual tables, and a store has none"
    (page,) = db.execute_sql("PRAGMA page_size").fetchone()
    if page != PAGE:
        yield f"its pages have {page} bytes, and a store's have {PAGE}"
    broken = [each for (each,) in db.execute_sql("PRAGMA integrity_check(10)") if each != "ok"]
    yield from (f"SQLite finds in it: {each}" for each in broken)
    orphans = len(db.execute_sql("PRAGMA foreign_key_check").fetchall())
    if orphans:
        yield f"{orphans} rows refer to rows that are not there"
    sample = db.execute_sql(_SAMPLE).fetchall()
    if any(pseudonym is None for _, _, pseudonym in sample):
        yield "its newest interactions are of sessions that are not there"


@contextmanager
def _reading(path: Path, *, shared: bool = False) -> Iterator[SqliteDatabase]:
    with closing(open_copy(path, shared=shared)) as db:
        try:
            yield db
        except DatabaseError as error:
            what = "store" if shared else "copy"
            raise Unavailable(f"the {what} cannot be read: {error}", reason="STORE_UNAVAILABLE") from error


def _rows(db: SqliteDatabase, table: str) -> int:
    quoted = table.replace('"', '""')
    (count,) = db.execute_sql(f'SELECT COUNT(*) FROM "{quoted}"').fetchone()  # noqa: S608 -- quoted
    return int(count)
