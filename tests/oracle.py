"""
What the figures should be: plain Python over raw rows, without a database and without the server's code.

The rules are the predecessor's. A row is a dict with the fields of an interaction, or an Interaction.
"""

import gzip
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from steward import Interaction, InteractionFilter

Row = dict[str, Any]

HOUR = timedelta(hours=1)
ROLES = ("Software Developer", "Hiring Manager (technical)", "Just looking around", "Other", "")
TYPES = ("technical", "career", "")
# Minutes before or after the moment: never a whole hour, so that it does not matter which instant a window begins at.
OFFSETS = st.integers(-15 * 24, 23).map(lambda hours: 60 * hours + 30) | st.integers(-130, 5).filter(lambda n: n % 60)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "session_id": st.sampled_from(["a", "b", "c"]),
            "minutes": OFFSETS,
            "user_role": st.sampled_from(ROLES),
            "query": st.sampled_from(["How?", "", "Why?"]),
            "query_type": st.sampled_from(TYPES),
            "response_time_seconds": st.none() | st.floats(0, 10) | st.floats(-1e6, 1e6),
            "response_length": st.none() | st.integers(0, 9000),
            "success": st.none() | st.booleans(),
            "user_rating": st.none() | st.floats(1, 5),
            "code_snippets_shown": st.integers(0, 9),
            "citations_provided": st.integers(0, 9),
        }
    ),
    max_size=14,
)


def placed(rows: Iterable[Row], now: datetime) -> list[Row]:
    """Return *rows* with the time that their minutes mean at *now*."""
    return [
        {**{name: value for name, value in row.items() if name != "minutes"}, "occurred_at": now + minutes(row)}
        for row in rows
    ]


def minutes(row: Row) -> timedelta:
    """Return how far from now *row* is."""
    return timedelta(minutes=row["minutes"])


def known(rows: Iterable[Row], field: str) -> list[float]:
    """Return the values of *field* that are known."""
    return [float(row[field]) for row in rows if row[field] is not None]


def average(values: Iterable[float | None]) -> float | None:
    """Return the mean of those of *values* that are known, None without any."""
    found = [float(each) for each in values if each is not None]
    return mean(found) if found else None


def close(expected: float | None) -> Any:
    """Return what is equal to *expected* within 1e-9."""
    return None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9)


def within(rows: Iterable[Row], since: datetime | None, until: datetime | None = None) -> list[Row]:
    """Return those of *rows* from *since* up to but without *until*."""
    return [
        row
        for row in rows
        if (since is None or since <= row["occurred_at"]) and (until is None or row["occurred_at"] < until)
    ]


def grouped(rows: Iterable[Row], field: str) -> dict[Any, list[Row]]:
    """Return *rows* by *field*, the largest group first, then by name."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[field], []).append(row)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def system_metrics(rows: Sequence[Row], now: datetime) -> dict[str, float]:
    """Return the six metrics but for how long the store takes."""
    hour = within(rows, now - HOUR)
    success = average(known(hour, "success"))
    rate = 1.0 if success is None else success
    return {
        "avg_response_time_seconds": average(known(hour, "response_time_seconds")) or 0.0,
        "success_rate": rate,
        "query_volume": len(hour),
        "error_rate": 1 - rate,
        "total_interactions": len(rows),
    }


SCORED = ("session_id", "query", "response_time_seconds", "success")


def completeness(rows: Sequence[Row], field: str) -> float:
    """Return the share of *rows* in which *field* is neither missing nor empty, 0 without rows."""
    return sum(row[field] is not None and row[field] != "" for row in rows) / len(rows) if rows else 0.0


def issues(rows: Sequence[Row], since: datetime, until: datetime | None = None) -> list[str]:
    """Return the issues of a window, one word each."""
    inside = within(rows, since, until)
    seconds = known(inside, "response_time_seconds")
    success = average(known(inside, "success"))
    return [
        *["slow" for _ in range(any(each > 300 for each in seconds))],
        *["negative" for _ in range(any(each < 0 for each in seconds))],
        *["failing" for _ in range(success is not None and success < 0.8)],
        *["busy" for turns in Counter(row["session_id"] for row in inside).values() if turns > 50],
    ]


def quality_score(rows: Sequence[Row], now: datetime) -> float:
    """Return the quality score of *rows* at *now*."""
    complete = mean(completeness(rows, field) for field in SCORED)
    found = len(issues(rows, now - timedelta(days=7)))
    return min(1.0, max(0.0, 0.7 * complete + 0.3 * max(0.0, 1 - 0.1 * found)))


def health_score(rows: Sequence[Row], now: datetime, *, backup: bool = False) -> float:
    """Return the health score of *rows* at *now*."""
    performance = 1.0 if system_metrics(rows, now)["success_rate"] > 0.8 else 0.5
    return mean((quality_score(rows, now), performance, 1.0 if backup else 0.0))


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return a percentile as the standard library interpolates it."""
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def spread(rows: Iterable[Row]) -> dict[str, Any]:
    """Return how the response times of *rows* are distributed."""
    seconds = known(rows, "response_time_seconds")
    return {
        "known": len(seconds),
        "min_seconds": close(min(seconds, default=None)),
        "mean_seconds": close(average(seconds)),
        "max_seconds": close(max(seconds, default=None)),
        "p50_seconds": close(percentile(seconds, 50)),
        "p95_seconds": close(percentile(seconds, 95)),
        "p99_seconds": close(percentile(seconds, 99)),
    }


def trend(now: float | None, before: float | None) -> str:
    """Return where a figure is heading."""
    if now is None or before is None or abs(now - before) <= 0.2 * abs(before):
        return "STABLE"
    return "INCREASING" if now > before else "DECREASING"


# Windows and filters, and the real file

MODEST = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # with a server for each try, shrinking takes minutes
)
REAL = Path(__file__).parent.parent.parent / "shared/data/legacy/analytics_backup_2025-09-30_22-34-30.db.gz"
needs_the_real_file = pytest.mark.skipif(
    not REAL.exists(), reason="SKIPPED: the predecessor's real file is not at ../shared/data/legacy"
)


def in_order(span: tuple[datetime | None, datetime | None]) -> bool:
    """Whether *span* is a window, with or without ends."""
    since, until = span
    return since is None or until is None or since < until


def inside(time: datetime, since: datetime | None, until: datetime | None) -> bool:
    """Whether *time* is in the window."""
    return (since is None or since <= time) and (until is None or time < until)


def meant(row: Interaction, chosen: InteractionFilter) -> bool:
    """Whether *row* is one of the *chosen*."""
    assert row.occurred_at is not None
    rated = chosen.min_rating is not None or chosen.max_rating is not None
    return (
        inside(row.occurred_at, chosen.since, chosen.until)
        and (not chosen.user_roles or row.user_role in chosen.user_roles)
        and (not chosen.query_types or row.query_type in chosen.query_types)
        and (chosen.session_id is None or row.session_id == chosen.session_id)
        and (chosen.success is None or row.success is chosen.success)
        and (not rated or row.user_rating is not None)
        and (chosen.min_rating is None or (row.user_rating or 0) >= chosen.min_rating)
        and (chosen.max_rating is None or (row.user_rating or 0) <= chosen.max_rating)
        and ascii_lower(chosen.text) in ascii_lower(row.query)
    )


def ascii_lower(text: str) -> str:
    """Return *text* with the capitals of ASCII made small."""
    return "".join(each.lower() if each.isascii() else each for each in text)


def real_rows() -> Sequence[Interaction]:
    """Return the interactions of the predecessor's real file, read without our reader, their times taken as UTC."""
    content = bytearray(gzip.decompress(REAL.read_bytes()))
    content[18:20] = b"\1\1"  # without a write-ahead log
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(bytes(content))
        database.row_factory = sqlite3.Row
        return [
            Interaction(
                session_id=row["session_id"],
                user_role=row["user_role"],
                query=row["query"],
                query_type=row["query_type"],
                response_time_seconds=row["response_time"],
                code_snippets_shown=row["code_snippets_shown"],
                citations_provided=row["citations_provided"],
                success=bool(row["success"]),
                occurred_at=datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC),
            )
            for row in database.execute("SELECT * FROM user_interactions ORDER BY id")
        ]
