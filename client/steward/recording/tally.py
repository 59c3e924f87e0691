"""
What became of the records of a recorder: kept by the sender, read by anyone.
"""

from collections import Counter, deque

from steward.types import FlushReport, RecorderCounters, RejectedRecord

TOLD = 1000  # rejected records that a report names


class Tally:
    """The counts of one life. Each record that is taken out of the queue gets a number and is settled once."""

    def __init__(self) -> None:
        self.number = 0  # the last that was given out
        self.acknowledged = 0
        self.spooled = 0
        self.refused = 0
        self.dropped: Counter[str] = Counter()
        self.replayed = 0
        self.replay_refused = 0
        self.failures = 0
        self.last_error = ""
        self.rejected: deque[RejectedRecord] = deque(maxlen=TOLD)

    @property
    def unsettled(self) -> int:
        """How many were taken and are neither acknowledged nor refused nor dropped."""
        return self.number - self.acknowledged - self.refused - self.dropped.total()

    def counters(self, *, queued: int, lost: Counter[str], spool_error: str) -> RecorderCounters:
        """Return all, where so many are *queued* still, and callers *lost* so many for which reason."""
        return RecorderCounters(
            recorded=self.number + queued + lost.total(),
            acknowledged=self.acknowledged,
            pending=self.unsettled - self.spooled + queued,
            spooled=self.spooled,
            rejected=self.refused,
            dropped=dict(self.dropped + lost),  # those that are none fall out
            replayed=self.replayed,
            replay_rejected=self.replay_refused,
            failures=self.failures,
            last_error=self.last_error,
            spool_error=spool_error,
        )

    def report(self, *, queued: int, lost: int) -> FlushReport:
        """Return what became of all, where so many are *queued* still, and callers *lost* so many."""
        return FlushReport(
            acknowledged=self.acknowledged,
            pending=self.unsettled - self.spooled + queued,
            spooled=self.spooled,
            rejected=tuple(self.rejected),
            dropped=self.dropped.total() + lost,
        )
