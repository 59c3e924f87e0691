"""
The six metrics of the predecessor, which alert rules watch and several figures show.

Pure but for what it asks the store it is handed.
"""

import time
from datetime import datetime, timedelta

from peewee import SQL, fn

from steward.types import SystemMetrics
from stewardd.store import Store
from stewardd.store.models import Interaction
from stewardd.store.times import micros

HOUR = timedelta(hours=1)


def measure(store: Store, *, now: datetime) -> SystemMetrics:
    """Return the metrics of the hour before *now*, without end. Where nothing is known all is well: 0 s, and 1."""
    started = time.perf_counter()
    volume, mean_response_time, known_rate = store.sole(
        Interaction.select(
            fn.COUNT(Interaction.seq), fn.AVG(Interaction.response_time_seconds), fn.AVG(Interaction.success)
        ).where(Interaction.occurred_at >= micros(now - HOUR))
    )
    took = time.perf_counter() - started
    (total,) = store.sole(Interaction.select(fn.COUNT(SQL("*"))))  # which no column is read for
    success_rate = 1.0 if known_rate is None else known_rate
    return SystemMetrics(
        avg_response_time_seconds=mean_response_time or 0.0,
        success_rate=success_rate,
        query_volume=volume,
        error_rate=1.0 - success_rate,
        total_interactions=total,
        db_query_time_seconds=took,
    )
