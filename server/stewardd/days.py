"""
Days as the clocks of a time zone have them: mostly from midnight to midnight, but clocks are set.

Pure, but for the time zone database.
"""

from bisect import bisect_left
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from steward.errors import InvalidArgument
from steward.types import FieldViolation
from stewardd.store.times import instant, micros

DAY = timedelta(days=1)
# What some systems keep beside the zones: a zone that only this machine knows, and clocks that count leap seconds.
NO_ZONES = ("localtime", "posix", "posixrules", "right")


def zone_named(name: str) -> ZoneInfo:
    """Return the time zone of that *name*, UTC of none. Raises: InvalidArgument of the field time_zone."""
    with suppress(KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError, a directory is an OSError
        if name.split("/", maxsplit=1)[0] not in NO_ZONES:
            return ZoneInfo(name or "UTC")
    rule = "must be a name of the IANA time zone database, such as Europe/Berlin"
    raise InvalidArgument.of(FieldViolation("time_zone", rule))


def day_of(time: datetime, zone: ZoneInfo) -> date:
    """Return which day it is in *zone* at *time*."""
    return time.astimezone(zone).date()


def pieces_of(day: date, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """Return from when to when it is *day* in *zone*: several pieces where clocks were set back over midnight."""
    begins, resumes = _begins(day, zone)
    ends, ends_again = _begins(day + DAY, zone)
    if begins == resumes and ends == ends_again:
        return [(begins, ends)]
    pieces = [
        (begins, _set_back(begins, resumes, day, zone)),
        (resumes, ends),
        (_set_back(ends, ends_again, day + DAY, zone), ends_again),
    ]
    return [(start, end) for start, end in pieces if start < end]


def _begins(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return when *day* begins in *zone*, the first time and the last."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    first, last = (midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, max(first, last)  # where there is no midnight, the first is when clocks were put forward


def _set_back(first: datetime, last: datetime, day: date, zone: ZoneInfo) -> datetime:
    """Return when, since the *first* time that *day* began, it is the day before again, until the *last* time."""
    times = range(micros(first), micros(last))
    return instant(times.start + bisect_left(times, True, key=lambda at: day_of(instant(at), zone) < day))
