"""
Which of the recorders' numbers have come. Runs on the writer's thread, in the transaction of what the numbers are of.

What is kept of a recorder is its highest number and the gaps below, so that a number that comes again changes nothing.
Most requests go on behind the highest number, which takes one statement to read and one to write, whatever their size.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

from peewee import SqliteDatabase, fn

from stewardd.store.models import Recorder, RecorderGap
from stewardd.store.ranges import Range, merged, size, without
from stewardd.store.row import Marks

MOST_GAPS = 100_000  # of a recorder: those at its lowest numbers are given up for more
MOST_ROWS = 64  # a statement
WAITED = 30 * 24 * 3600 * 10**6  # us that a gap is waited for, and a silent recorder is remembered

_DIALECT = SqliteDatabase(None)  # says how to spell statements; never connects


@dataclass(slots=True)
class _Account:
    """A recorder as it stands, in the order of the columns."""

    number: int
    issued: int
    highest: int
    forgone: int
    lost: int


def mark(db: SqliteDatabase, marks: Marks, *, now: int) -> None:
    """Take down *marks* as of *now*."""
    row = db.execute_sql(_select(), (marks.recorder_id,)).fetchone()
    told = merged([*marks.arrived, *marks.forgone]) if marks.forgone else marks.arrived
    account = _Account(*(row or (_begun(db, marks, now), 0, _unknowable(marks, told, now), 0, 0)))
    if told:
        _take_down(db, account, marks, told, now)
    account.issued = max(account.issued, marks.issued)
    number, *figures = astuple(account)
    db.execute_sql(_update(), (marks.name, now, *figures, number))


def _take_down(db: SqliteDatabase, account: _Account, marks: Marks, told: Sequence[Range], now: int) -> None:
    """Have *account* and its gaps say that the numbers *told* have come or were forgone."""
    gaps = _gaps(db, account, told) if told[0][0] <= account.highest else []
    awaited = [(first, last) for _, first, last, _ in gaps]
    ahead = account.highest + 1, told[-1][1]
    if ahead[0] <= ahead[1]:
        awaited.append(ahead)
        gaps.append((None, *ahead, now))
        account.highest = ahead[1]
    missed = without(awaited, marks.arrived)
    account.forgone += size(missed) - size(without(missed, marks.forgone))
    touched, left = [], []
    for number, first, last, since in gaps:
        rest = without([(first, last)], told)
        if rest != [(first, last)] or number is None:
            touched.append(number)
            left += [(account.number, *each, since) for each in rest]
    _replace(db, [each for each in touched if each is not None], left)
    if left:
        account.lost += _give_up_most(db, account.number)


def _gaps(db: SqliteDatabase, account: _Account, told: Sequence[Range]) -> list[tuple[Any, ...]]:
    """Return the gaps that have something of *told* between their ends, or lie between it."""
    lowest, highest = told[0][0], told[-1][1]
    of_it = RecorderGap.recorder == account.number
    before = RecorderGap.select(fn.MAX(RecorderGap.first)).where(of_it, RecorderGap.first <= lowest)
    query = RecorderGap.select(RecorderGap.number, RecorderGap.first, RecorderGap.last, RecorderGap.since)
    within = (RecorderGap.first >= fn.COALESCE(before, lowest)) & (RecorderGap.first <= highest)
    found: Any = query.where(of_it, within, RecorderGap.last >= lowest).order_by(RecorderGap.first).tuples().bind(db)
    return list(found)


def _replace(db: SqliteDatabase, old: Sequence[int], new: Sequence[tuple[Any, ...]]) -> None:
    for start in range(0, len(old), MOST_ROWS):
        RecorderGap.delete().where(RecorderGap.number.in_(old[start : start + MOST_ROWS])).bind(db).execute()
    fields = [RecorderGap.recorder, RecorderGap.first, RecorderGap.last, RecorderGap.since]
    for start in range(0, len(new), MOST_ROWS):
        RecorderGap.insert_many(new[start : start + MOST_ROWS], fields=fields).bind(db).execute()


def _give_up_most(db: SqliteDatabase, recorder: int) -> int:
    """Give up the lowest gaps of *recorder* that are too many; return how many numbers were in them."""
    of_it = RecorderGap.recorder == recorder
    excess = RecorderGap.select().where(of_it).bind(db).count() - MOST_GAPS
    if excess <= 0:
        return 0
    query = RecorderGap.select(RecorderGap.number, RecorderGap.first, RecorderGap.last).where(of_it)
    lowest: list[Any] = list(query.order_by(RecorderGap.first).limit(excess).tuples().bind(db))
    _replace(db, [number for number, _, _ in lowest], [])
    return size((first, last) for _, first, last in lowest)


def tidy(db: SqliteDatabase, *, now: int) -> None:
    """Give up the gaps that by *now* have been waited for long enough, and forget who has been silent for as long."""
    before = now - WAITED
    silent = Recorder.select(Recorder.number).where(Recorder.last_seen_at < before)
    old = RecorderGap.since < before
    missed = fn.SUM(RecorderGap.last - RecorderGap.first + 1)
    given_up = RecorderGap.select(RecorderGap.recorder, missed).where(old).group_by(RecorderGap.recorder)
    counts: list[Any] = list(given_up.tuples().bind(db))
    for number, count in counts:
        Recorder.update(lost=Recorder.lost + count).where(Recorder.number == number).bind(db).execute()
    RecorderGap.delete().where(old | RecorderGap.recorder.in_(silent)).bind(db).execute()
    Recorder.delete().where(Recorder.last_seen_at < before).bind(db).execute()


def _begun(db: SqliteDatabase, marks: Marks, now: int) -> Any:
    """Return the number of a recorder that was never seen before."""
    zeros = {"issued": 0, "highest": 0, "forgone": 0, "lost": 0}
    known = {"recorder_id": marks.recorder_id, "name": marks.name, "first_seen_at": now, "last_seen_at": now}
    return Recorder.insert(**known, **zeros).bind(db).execute()


def _unknowable(marks: Marks, told: Sequence[Range], now: int) -> int:
    """
    Return up to which number it cannot be known what has come of a recorder that is not remembered: before what is
    *told*, where the recorder is old enough to have been forgotten. Its id says when it began.
    """
    begun = int.from_bytes(marks.recorder_id[:6], "big") * 1000
    return told[0][0] - 1 if told and begun < now - WAITED else 0


# The statements of each request, composed by Peewee once


@cache
def _select() -> str:
    query = Recorder.select(Recorder.number, Recorder.issued, Recorder.highest, Recorder.forgone, Recorder.lost)
    return str(query.where(Recorder.recorder_id == b"").sql()[0])


@cache
def _update() -> str:
    query = Recorder.update(name="", last_seen_at=0, issued=0, highest=0, forgone=0, lost=0)
    return str(query.where(Recorder.number == 0).bind(_DIALECT).sql()[0])
