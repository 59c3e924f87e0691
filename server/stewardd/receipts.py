"""
Records other than interactions on their way in: prepared, stored, answered for.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Sequence

from steward import ids
from steward.types import RecordReceipt, Rejection
from stewardd.privacy import Counts, total
from stewardd.store import Store
from stewardd.store.row import Record
from stewardd.store.times import instant

PreparedRecord = tuple[Record, Counts]  # a row to store, and what was redacted in it


async def store_records(
    store: Store, prepared: Sequence[PreparedRecord | Rejection]
) -> list[RecordReceipt | Rejection]:
    """Store the good ones of *prepared*; return what became of each, in order, when they are on disk."""
    rows = [each[0] for each in prepared if not isinstance(each, Rejection)]
    places = iter(await store.add(rows) if rows else [])
    outcomes: list[RecordReceipt | Rejection] = []
    for each in prepared:
        if isinstance(each, Rejection):
            outcomes.append(each)
            continue
        (row, counts), place = each, next(places)
        outcomes.append(
            RecordReceipt(
                record_id=ids.spell(row[0]),
                recorded_at=instant(place.recorded_at),
                redactions=counts,
                already_stored=place.already_stored,
            )
        )
    return outcomes


async def store_together(store: Store, prepared: Sequence[PreparedRecord], *, record_id: str) -> RecordReceipt:
    """Store *prepared* as the parts of one record, all or none; return what became of it when it is on disk."""
    places = await store.add([row for row, _ in prepared], together=True)
    return RecordReceipt(
        record_id=record_id.lower(),
        recorded_at=instant(max(place.recorded_at for place in places)),
        redactions=total(counts for _, counts in prepared),
        already_stored=all(place.already_stored for place in places),
    )
