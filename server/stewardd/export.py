"""
Taking interactions out, in the order of arrival, so that whoever takes them can go on and can check what came.

Pages by seq, each a short read: nothing is held open between them. Pure but for what it asks the store it is handed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from peewee import fn

from steward.types import InteractionFilter
from stewardd.filters import check_filter, conditions, narrowed
from stewardd.ingest import recorded_query
from stewardd.privacy import Redactor
from stewardd.store import Reading
from stewardd.store.keyset import Behind
from stewardd.store.models import Interaction
from stewardd.store.times import micros

MOST_ROWS = 1000  # a batch
MOST_BYTES = 1024 * 1024  # of questions in a batch, after which it ends


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export has come: what a resume token holds."""

    seq: int  # of the last interaction that was sent
    last_seq: int  # where it ends, fixed at the start
    rows: int  # sent so far
    digest: bytes  # 32, of what was sent so far


def begin(store: Reading) -> Progress:
    """Return the start of an export of what is there now."""
    (newest,) = store.sole(Interaction.select(fn.COALESCE(fn.MAX(Interaction.seq), 0)))
    return Progress(0, newest, 0, bytes(32))


def choose(chosen: InteractionFilter, updated_since: datetime | None, *, redactor: Redactor, now: datetime) -> Behind:
    """Return the query of what is asked for, whose rows are as `recorded_query` has them. Raises: InvalidArgument."""
    check_filter(chosen, now=now, prefix="filter.")
    found = conditions(chosen, redactor=redactor)
    if updated_since is not None:
        since = micros(updated_since)
        found.append((Interaction.recorded_at >= since) | (Interaction.rated_at >= since))
    return Behind(narrowed(recorded_query(), found), Interaction.seq)


def page(store: Reading, query: Behind, progress: Progress) -> list[tuple[Any, ...]]:
    """Return the next rows of an export: at most a batch, none at its end."""
    rows = query(progress.seq, progress.last_seq, MOST_ROWS)
    return store.first(rows, most=MOST_BYTES, weigh=lambda row: len(row[6]))


def advanced(progress: Progress, sent: Sequence[tuple[Any, ...]], serialized: bytes) -> Progress:
    """Return the *progress* after a batch of *sent* rows that is *serialized* so."""
    return replace(
        progress,
        seq=sent[-1][0],
        rows=progress.rows + len(sent),
        digest=hashlib.sha256(progress.digest + serialized).digest(),
    )
