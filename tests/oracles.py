"""
What figures are checked with: windows, filters and means in plain Python, and the predecessor's real file.
"""

import gzip
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from steward import Interaction, InteractionFilter

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


def average(values: Iterable[float | None]) -> float | None:
    """Return the mean of those of *values* that are known, None without any."""
    known = [float(each) for each in values if each is not None]
    return mean(known) if known else None


def close(expected: float | None) -> Any:
    """Return what is equal to *expected* within 1e-9."""
    return None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9)


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
