"""
How the server is: what each component measures, and what that means.

`measure` asks and judges nothing, `judge` judges and asks nothing.
"""

import shutil
from dataclasses import dataclass
from datetime import datetime

from steward.errors import Error
from steward.types import Component, ComponentStatus, Figure, SystemHealth
from stewardd.privacy import RULES_VERSION
from stewardd.store import Store, WriterFacts
from stewardd.store.models import Meta

SLOW_QUEUE = 1.0  # s that a change may wait before the writer wants attention
MEGABYTE = 1024 * 1024
OK, DEGRADED, FAILING = ComponentStatus.OK, ComponentStatus.DEGRADED, ComponentStatus.FAILING


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured."""

    read_error: Error | None
    database_bytes: int
    log_bytes: int  # of the write-ahead log
    writer: WriterFacts
    free_bytes: int
    key_source: str


def measure(store: Store, *, key_source: str) -> Facts:
    """Look at *store* and its disk, with one read through a reader's connection."""
    read_error = None
    try:
        store.one(Meta.select(Meta.name))
    except Error as error:
        read_error = error
    return Facts(
        read_error=read_error,
        database_bytes=store.database_bytes(),
        log_bytes=store.log_bytes(),
        writer=store.facts(),
        free_bytes=shutil.disk_usage(store.path.parent).free,
        key_source=key_source,
    )


def judge(facts: Facts, *, low_disk_bytes: int, now: datetime) -> SystemHealth:
    """Say what *facts* mean, component by component."""
    components = (_store(facts), _writer(facts.writer), _privacy(facts), _disk(facts, low_disk_bytes))
    return SystemHealth(status=max(each.status for each in components), components=components, checked_at=now)


def _store(facts: Facts) -> Component:
    figures = (Figure("database_size", facts.database_bytes, "By"), Figure("wal_size", facts.log_bytes, "By"))
    if facts.read_error is not None:
        return Component("store", FAILING, facts.read_error.message, figures)
    return Component("store", OK, "it can be read", figures)


def _writer(writer: WriterFacts) -> Component:
    figures = [
        Figure("queue_depth", writer.queued_rows, "{row}"),
        Figure("queue_size", writer.queued_bytes, "By"),
        Figure("queue_age", writer.oldest_seconds, "s"),
        Figure("commits", writer.commits, "{commit}"),
    ]
    if writer.last_commit_seconds is not None:
        figures.append(Figure("last_commit", writer.last_commit_seconds, "s"))
    if writer.error is not None:
        return Component("writer", FAILING, f"the last commit failed: {writer.error.message}", tuple(figures))
    if writer.oldest_seconds > SLOW_QUEUE:
        return Component("writer", DEGRADED, f"changes wait more than {SLOW_QUEUE:g} s to be written", tuple(figures))
    return Component("writer", OK, "what is acknowledged is on disk", tuple(figures))


def _privacy(facts: Facts) -> Component:
    return Component("privacy", OK, f"redaction rules {RULES_VERSION}, key from {facts.key_source}")


def _disk(facts: Facts, low_disk_bytes: int) -> Component:
    figures = (Figure("free", facts.free_bytes, "By"),)
    if facts.free_bytes < low_disk_bytes:
        reason = (
            f"{facts.free_bytes // MEGABYTE} MB are free, less than the {low_disk_bytes // MEGABYTE} MB that are wanted"
        )
        return Component("disk", FAILING if facts.free_bytes == 0 else DEGRADED, reason, figures)
    return Component("disk", OK, "there is room", figures)
