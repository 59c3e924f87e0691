"""
Who numbers what it records, and what has not come of it: numberings as they come in, and what each recorder misses.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from peewee import SqliteDatabase, fn

from steward import ids
from steward.types import LIMITS, FieldViolation, Numbering, NumberRange
from stewardd.filters import demand
from stewardd.privacy import Redactor
from stewardd.rules import ID_RULE, text_violations
from stewardd.store import Store, ledger
from stewardd.store.models import Recorder, RecorderGap
from stewardd.store.ranges import Range, merged, numbers
from stewardd.store.row import Marks
from stewardd.store.times import instant, micros

MOST_NUMBER = 2**53 - 1  # what every language can count to

# Taking in


def prepare(each: Numbering, *, refused: Sequence[bool], redactor: Redactor) -> Marks:
    """
    Check *each* numbering, of interactions of which some are *refused*, and return it as it is to be stored.

    Pure: no clock, no disk, no network. Raises: InvalidArgument, naming each wrong field.
    """
    key = ids.parse(each.recorder_id)
    demand(_violations(each, key, count=len(refused)))
    assert key is not None
    arrived, forgone = _ranges(each.numbers), _ranges(each.forgone)
    if any(refused):
        told = list(zip(numbers(arrived), refused, strict=True))
        arrived = [(number, number) for number, bad in told if not bad]
        forgone += [(number, number) for number, bad in told if bad]
    name, _ = redactor.redact(each.recorder_name)
    return Marks(key, name, merged(arrived), merged(forgone), each.issued)


def _ranges(given: Sequence[NumberRange]) -> list[Range]:
    return [(each.first, each.last) for each in given]


def _violations(each: Numbering, key: bytes | None, *, count: int) -> Iterator[FieldViolation]:
    if key is None:
        yield FieldViolation("numbering.recorder_id", ID_RULE)
    yield from text_violations("numbering.recorder_name", each.recorder_name)
    if not each.recorder_name.isprintable():
        yield FieldViolation("numbering.recorder_name", "must be printable, on one line")
    for field, ranges in (("numbering.numbers", each.numbers), ("numbering.forgone", each.forgone)):
        if not all(1 <= given.first <= given.last <= MOST_NUMBER for given in ranges):
            yield FieldViolation(field, "must be ranges with 1 <= first <= last <= 2^53 - 1")
    given = sum(one.last - one.first + 1 for one in each.numbers)
    if given != count:
        yield FieldViolation("numbering.numbers", f"must be as many numbers as there are interactions, {count}")
    if len(each.forgone) > LIMITS.batch_size:
        yield FieldViolation("numbering.forgone", f"must be at most {LIMITS.batch_size} ranges")
    if not max((one.last for one in (*each.numbers, *each.forgone)), default=0) <= each.issued <= MOST_NUMBER:
        rule = "must be at least the greatest of numbers and forgone, and at most 2^53 - 1"
        yield FieldViolation("numbering.issued", rule)


def tidied(now: datetime) -> Callable[[SqliteDatabase], None]:
    """Return the change that forgets what by *now* has been missing, and who has been silent, for 30 days."""
    return partial(ledger.tidy, now=micros(now))


# Telling


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a recorder misses."""

    recorder_id: str
    name: str
    records: int
    since: datetime  # of what is missing longest


@dataclass(frozen=True, slots=True)
class Standing:
    """How far what recorders numbered has come."""

    recorders: int
    received: int
    awaited: int  # not come yet, those that are missing among them
    forgone: int
    lost: int  # missing for so long that they are not waited for any more
    shortfalls: tuple[Shortfall, ...]  # the greatest first


def standing(store: Store, *, patience: timedelta, now: datetime) -> Standing:
    """
    Tell what recorders miss as of *now*.

    A number that the server knows of may be under way; after *patience* it is missing. It knows of one in a gap since a
    later one came, and of those given out behind the highest since the recorder was last heard of: as long as that goes
    on telling, it is merely busy.
    """
    missing = (RecorderGap.last - RecorderGap.first + 1, Recorder.issued - Recorder.highest)
    sums = [fn.COALESCE(fn.SUM(each), 0) for each in (Recorder.highest, Recorder.forgone, Recorder.lost, missing[1])]
    recorders, highest, forgone, lost, ahead = store.sole(Recorder.select(fn.COUNT(Recorder.number), *sums))
    (in_gaps,) = store.sole(RecorderGap.select(fn.COALESCE(fn.SUM(missing[0]), 0)))
    return Standing(
        recorders=recorders,
        received=highest - in_gaps - forgone - lost,
        awaited=in_gaps + ahead,
        forgone=forgone,
        lost=lost,
        shortfalls=_shortfalls(store, micros(now - patience), missing),
    )


def _shortfalls(store: Store, before: int, missing: tuple[Any, Any]) -> tuple[Shortfall, ...]:
    """Return what of the *missing*, in gaps and ahead, has been known of since *before*, by recorder."""
    who = Recorder.number, Recorder.recorder_id, Recorder.name
    gaps = (
        Recorder.select(*who, fn.SUM(missing[0]), fn.MIN(RecorderGap.since))
        .join(RecorderGap, on=(RecorderGap.recorder == Recorder.number))
        .where(RecorderGap.since <= before)
        .group_by(Recorder.number)
    )
    ahead = Recorder.select(*who, missing[1], Recorder.last_seen_at).where(
        Recorder.issued > Recorder.highest, Recorder.last_seen_at <= before
    )
    found: dict[int, Shortfall] = {}
    for number, key, name, records, since in [*store.rows(gaps), *store.rows(ahead)]:
        first = found.get(number)
        already, earliest = (first.records, first.since) if first else (0, instant(since))
        found[number] = Shortfall(ids.spell(bytes(key)), name, already + records, min(earliest, instant(since)))
    return tuple(sorted(found.values(), key=lambda each: (-each.records, each.since, each.recorder_id)))
