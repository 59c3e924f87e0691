"""
Times as the store keeps them: whole microseconds since 1970, UTC.

Pure.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """Return the aware *time* as microseconds since 1970."""
    return (time - EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """Return the time *value* microseconds after 1970."""
    return EPOCH + timedelta(microseconds=value)
