"""
Batches at which the server failed, which says nothing of whose fault it is: theirs, or that of all that comes.

One is tried again by itself, in halves from the second time on, while others go past it. A record alone at which the
server failed ten times, while others got through each time, is given up: only it is at fault.
"""

import math

from steward import errors
from steward.recording import batches
from steward.recording.batches import Batch
from steward.transport import Retry

FAILURES = 10  # of a record alone, each with others that got through since the last, until it is given up
HALVED = 2  # failures of a batch, from which on it is halved


class Suspects:
    """Those that wait to be tried again."""

    def __init__(self, retry: Retry) -> None:
        """Prepare to try again as *retry* says."""
        self._retry = retry
        self._waiting: list[Batch] = []
        self._passed = 0  # batches that the server took

    @staticmethod
    def are_to_have(batch: Batch, error: errors.Error) -> bool:
        """Whether *error* makes *batch* one of them."""
        return bool(batch.records) and isinstance(error, errors.Internal)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first_at(self) -> float:
        """When the first is to be tried again: s, monotonic; infinite when there is none."""
        return min((each.doubt.retry_at for each in self._waiting), default=math.inf)

    def passed(self, batch: Batch) -> None:
        """Take note that the server took *batch*."""
        self._passed += bool(batch.records)

    def among_others(self, batch: Batch) -> bool:
        """Whether the server failed at *batch* before, and took others since."""
        return batch.doubt.failures > 0 and batch.doubt.passed < self._passed

    def is_culprit(self, batch: Batch, error: errors.Error) -> bool:
        """Whether *batch*, which met *error*, is a record to be given up."""
        return self.are_to_have(batch, error) and self._is_alone(batch) and batch.doubt.alone + 1 >= FAILURES

    def _is_alone(self, batch: Batch) -> bool:
        """Whether the server fails at *batch*, a single record, while others get through."""
        return len(batch.records) == 1 and self.among_others(batch)

    def add(self, batch: Batch, error: errors.Error, now: float) -> None:
        """Have *batch* tried again, which met *error* *now*."""
        doubt = batch.doubt
        doubt.alone += self._is_alone(batch)
        doubt.failures += 1
        doubt.passed = self._passed
        if len(batch.records) > 1 and doubt.failures >= HALVED:
            doubt.retry_at = now
            self._waiting += batch.halves()
        else:
            doubt.retry_at = now + batches.pause(self._retry, error, failures=doubt.failures)
            self._waiting.append(batch)

    def take(self, now: float) -> Batch | None:
        """Return the first to be tried again by *now*, if any is."""
        first = min(self._waiting, key=lambda each: each.doubt.retry_at, default=None)
        if first is None or first.doubt.retry_at > now:
            return None
        self._waiting.remove(first)
        return first

    def take_all(self) -> list[Batch]:
        """Return all, whenever they were to be tried again."""
        found, self._waiting = self._waiting, []
        return found
