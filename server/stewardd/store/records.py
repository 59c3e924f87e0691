"""
How records other than interactions get into their tables, each once. Runs on the writer's thread, in its transaction.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from peewee import SqliteDatabase

from stewardd.store.models import BusinessMetric, ContentAccess, MetricPoint
from stewardd.store.row import BusinessRow, ContentRow, Kept, PointRow, Record

MOST_ROWS = 64  # a statement

_MODELS: dict[type[Record], Any] = {ContentRow: ContentAccess, BusinessRow: BusinessMetric, PointRow: MetricPoint}


def add(db: SqliteDatabase, rows: Sequence[Record], *, now: int, together: bool = False) -> list[Kept]:
    """
    Store those of *rows*, of any kinds, that are not there yet, as recorded at *now*; say since when each is.

    Those that belong *together* are there when one of them is.
    """
    kept: dict[tuple[type[Record], bytes], Kept] = {}
    places: list[Kept] = []
    for kind, model in _MODELS.items():
        ids = [row[0] for row in rows if type(row) is kind]
        kept.update({(kind, key): Kept(at, True) for key, at in _known(db, model, ids)})
    if together and kept:
        return [min(kept.values())] * len(rows)
    fresh: dict[type[Record], list[tuple[Any, ...]]] = {}
    for row in rows:
        key = (type(row), row[0])
        place = kept.get(key)
        if place is None:
            place, kept[key] = Kept(now, False), Kept(now, True)
            at = now if row.occurred_at is None else row.occurred_at
            fresh.setdefault(type(row), []).append((row[0], at, now, *row[2:]))
        places.append(place)
    for kind, records in fresh.items():
        _insert(db, _MODELS[kind], records)
    return places


def _known(db: SqliteDatabase, model: Any, ids: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    key = _fields(model)[0]
    for start in range(0, len(ids), MOST_ROWS):
        query = model.select(key, model.recorded_at).where(key.in_(ids[start : start + MOST_ROWS]))
        yield from ((bytes(found), at) for found, at in query.tuples().bind(db))


def _insert(db: SqliteDatabase, model: Any, records: Sequence[tuple[Any, ...]]) -> None:
    for start in range(0, len(records), MOST_ROWS):
        model.insert_many(records[start : start + MOST_ROWS], fields=_fields(model)).bind(db).execute()


def _fields(model: Any) -> list[Any]:
    """Return the fields of *model* behind its seq: its id first."""
    return [getattr(model, name) for name in model._meta.sorted_field_names[1:]]  # noqa: SLF001 -- as Peewee documents
