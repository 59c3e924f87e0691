"""
The numbers of a recorder's records, from 1, by which the server notices what has not come.

Each request says which numbers it has, how many were given out, and which never come: those of what was refused or
dropped. What a close could not tell of these is left in the spool. What a kill of the process took with it, such
numbers too, is then missing, and told in the server's health.
"""

from collections.abc import Callable, Sequence
from itertools import islice

from steward.errors import Error
from steward.recording import batches
from steward.recording.batches import Batch, Life, Range
from steward.v1.ingest_pb2 import Numbering

MOST = 1000  # ranges of forgone numbers that a request tells


class Numbers:
    """Those of one life, and what is to be told of others' that it sends for."""

    def __init__(self, life: Life) -> None:
        self.issued = 0  # the last that was given out
        self._life = life
        self._lost = 0  # records that callers lost and that have numbers
        self._forgone: dict[Life, dict[int, int]] = {}  # numbers that never come and are not told: first to last
        self._refused = False  # whether the server takes no numbering

    def next(self) -> int:
        """Give out the next."""
        self.issued += 1
        return self.issued

    def forgo(self, life: Life, *ranges: Range) -> None:
        """Take note that the numbers of *life* in *ranges* never come."""
        if self._refused or not ranges:
            return
        untold = self._forgone.setdefault(life, {})
        for first, last in ranges:
            latest = next(reversed(untold), 0)
            if untold.get(latest) == first - 1:
                untold[latest] = last
            else:
                untold[first] = last

    def forgo_lost(self, lost: int) -> None:
        """Give numbers that never come to what callers lost, so many in all."""
        if lost > self._lost:
            first, self.issued = self.issued + 1, self.issued + lost - self._lost
            self.forgo(self._life, (first, self.issued))
            self._lost = lost

    def of(self, batch: Batch, *, queued: int) -> Numbering | None:
        """Return the numbering that is sent with *batch*, while so many are *queued* and will have the next numbers."""
        if self._refused:
            return None
        untold = islice(self._forgone.get(batch.life, {}).items(), MOST - len(batch.kept))
        batch.forgone = (*batch.kept, *untold)
        return batches.numbered(batch, issued=self.issued + queued if batch.life is self._life else 0)

    def told(self, batch: Batch) -> None:
        """Take note that the server knows what was sent with *batch*."""
        untold = self._forgone.get(batch.life, {})
        for first, last in batch.forgone:
            grown = untold.pop(first, last)  # meanwhile
            if grown > last:
                untold[last + 1] = grown
        if not untold:
            self._forgone.pop(batch.life, None)
        batch.kept = ()

    def telling(self, lost: int) -> bool:
        """Whether there is something to tell, where callers lost so many in all."""
        return not self._refused and (lost > self._lost or bool(self._forgone))

    def untold(self) -> Batch | None:
        """Return a batch without records, when there is something to tell."""
        life = None if self._refused else next(iter(self._forgone), None)
        return None if life is None else Batch(life, ())

    def hand_over(self, take: Callable[[Life, Sequence[Range]], bool]) -> None:
        """Leave what is not told to whoever takes it, life by life: *take* says whether it did."""
        for life, untold in list(self._forgone.items()):
            if take(life, tuple(untold.items())):
                del self._forgone[life]

    def misfit(self, batch: Batch, error: Error) -> bool:
        """Whether *error* is about the numbering of *batch*, which is then left out: no record is refused for it."""
        if batch.records and not any(each.field.startswith("numbering") for each in error.violations):
            return False
        self._refused = True
        self._forgone.clear()
        return True
