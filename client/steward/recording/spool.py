"""
What waits on disk for the server: segments, ours and those that others left, and what the server refused for good.

    SPOOL/TARGET/TIME-ORDERED-ID.spool             0600, held by the process that writes or replays it
    SPOOL/TARGET/rejected/TIME-ORDERED-ID.jsonl    0600, one refused interaction a line, with the reason

Used by one thread. What the disk refuses to write is told in `error`, and tried again when next asked; what it refuses
to read or to remove is told in `read_error`, and left to the next recorder.
"""

import json
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import platformdirs

from steward.disk import files_in, make_directory, size_of
from steward.recording.batches import Batch, Life, Place, Range, Record
from steward.recording.numbers import MOST
from steward.recording.rejected import Rejected
from steward.recording.segment import DAMAGED, HEAD, SUFFIX, Segment
from steward.types import Interaction

SEGMENT_BYTES = 4 * 1024 * 1024  # from where on a new one is begun, unless these would be more than so many:
SEGMENTS = 64
HELD = 16  # segments that are held at once, of those that others left
ASIDE = 10  # batches that are to be replayed later, while those behind them are replayed
MEASURED = 1.0  # s for which it is remembered how much is there
REJECTED_PART = 8  # the part of the limit, one in so many, that is for what was refused
RESERVE = 16  # the part of the limit, one in so many, that records leave to the numbers of those that found no room


def default_directory() -> Path:
    """Return where the spools of this user are, unless told otherwise."""
    return platformdirs.user_state_path("steward") / "spool"


def of_target(directory: Path, target: str) -> Path:
    """Return where in *directory* that is which waits for *target*."""
    return directory / quote(target, safe="")


class Spool:
    """The spool for one target, as one recorder uses it: at most *limit* bytes, those of other recorders included."""

    def __init__(self, directory: Path, *, limit: int, life: Life) -> None:
        """Prepare to use *directory*, that of the target, for records of *life*."""
        self.error = ""  # why it could not be written; empty once it could
        self.read_error = ""  # why something in it could not be read, or removed
        self._directory = directory
        self._rejected = Rejected(directory, limit=limit // REJECTED_PART)
        self._limit = limit - limit // REJECTED_PART
        self._segment_bytes = max(SEGMENT_BYTES, limit // SEGMENTS)
        self._life = life
        self._writing: Segment | None = None
        self._ready: deque[Segment] = deque()  # to be replayed
        self._given_up: set[Path] = set()  # what could not be read or removed
        self._found: deque[Path] = deque()  # what others left, to be taken over when there is room among these
        self._out: Place | None = None  # what is being replayed
        self._aside: set[Place] = set()  # what is to be replayed later
        self._forgotten: set[int] = set()  # numbers of ours that are settled all the same
        self._used = 0  # bytes on disk, as of when that was measured, and ours since
        self._measured_at = -math.inf  # s, monotonic

    @property
    def trouble(self) -> str:
        """What went wrong, until it goes well."""
        return self.error or self.read_error or self._rejected.error

    @property
    def empty(self) -> bool:
        """Whether nothing is there, not even what others left; it may be asked from any thread."""
        try:
            return not segments(self._directory)
        except OSError:  # which is told when it is used
            return False

    @property
    def waiting(self) -> bool:
        """Whether anything in it is to be sent."""
        return bool(self._ready or self._found or self._writing)

    @property
    def readable(self) -> bool:
        """Whether `next` may have something."""
        if self._out is not None or len(self._aside) >= ASIDE:
            return False
        return self._writing is not None or any(map(_is_unread, self._ready))

    def append(self, records: Sequence[Record]) -> bool:
        """Put *records* of ours on disk, all or none; whether they are there."""
        try:
            self._demand_room(sum(HEAD + len(message) for _, message in records), beside=self._limit // RESERVE)
            if self._writing is not None and (self._writing.size >= self._segment_bytes or self._writing.unlinked):
                self._seal()
            if self._writing is None:
                make_directory(self._directory)
                self._writing = Segment.make(self._directory, self._life)
            self._writing.append(records)
        except OSError as error:
            self.error = _words(error)
            return False
        self.error = ""
        return True

    def next(self, most: int, size: int) -> Batch | None:
        """Return up to *most* records of about *size* bytes to replay, one such at a time; None when there are none."""
        if not self.readable:
            return None
        while (segment := self._unread()) is not None:
            batch = self._read(segment, most, size)
            if batch is None:
                self._finish_read(segment)
            elif batch.records or batch.kept:
                self._out = batch.place
                return batch
        return None

    def _unread(self) -> Segment | None:
        """Return the first that is to be read, or has to go; when there is none, that which was written until now."""
        found = next(filter(_is_unread, self._ready), None)
        if found is None and self._writing is not None:
            found = self._writing
            self._seal()
        return found

    def _read(self, segment: Segment, most: int, size: int) -> Batch | None:
        """Return the next up to *most* records of about *size* bytes of *segment* but for what is forgotten."""
        try:
            records, forgone, end = segment.read(most, size)
        except OSError as error:
            segment.give_up()
            self._give_up(segment, error)
            return None
        if end == segment.position:
            return None
        segment.position = end
        if segment.life is self._life and self._forgotten:
            found = [each for each in records if each[0] not in self._forgotten]
            self._forgotten.difference_update(number for number, _ in records)
            records = found
        place = Place(segment, len(records))
        segment.unsettled += bool(records or forgone)
        return Batch(segment.life, records, place, kept=forgone)

    def set_aside(self, place: Place) -> None:
        """Let `next` go on behind *place*, which is settled later; it does not while there are ten such."""
        if place is self._out:
            self._out = None
            self._aside.add(place)

    def done(self, place: Place, count: int) -> None:
        """Take note that *count* of what stands at *place* is settled."""
        place.left -= count
        if place.left > 0:
            return
        self._aside.discard(place)
        if place is self._out:
            self._out = None
        place.segment.unsettled -= 1
        self._finish_read(place.segment)

    def _finish_read(self, segment: Segment) -> None:
        """Remove *segment* if it was read to the end and all in it is settled, and take over another."""
        if segment.position == segment.size and not segment.unsettled:
            self._ready.remove(segment)
            self._finish(segment)
            self._take_over()

    def _finish(self, segment: Segment) -> None:
        self.write_rejected()  # which may have been in it
        try:
            segment.finish()
        except OSError as error:
            self._give_up(segment, error)

    def _give_up(self, segment: Segment, error: OSError) -> None:
        """Leave *segment*, which met *error*, to the next recorder."""
        self.read_error = _words(error)
        self._given_up.add(segment.path)

    def forget(self, numbers: Iterable[int]) -> None:
        """Take note that *numbers* of ours are settled, though they are in it."""
        self._forgotten.update(numbers)

    def adopt(self) -> None:
        """Take over what others left, if nobody holds it: the oldest now, the rest as these are done with."""
        try:
            there = segments(self._directory)
        except OSError as error:
            self.read_error = _words(error)
            return
        self._given_up.intersection_update(there)
        if not self._given_up:
            self.read_error = ""
        passed_over = self._given_up.union(each.path for each in self._held())
        self._found = deque(each for each in there if each.suffix == SUFFIX and each not in passed_over)
        self._take_over()

    def _take_over(self) -> None:
        while self._found and len(self._ready) < HELD:
            try:
                found = Segment.adopt(self._found.popleft())
            except OSError as error:
                self.read_error = _words(error)
                continue
            if found is not None:
                self._ready.append(found)

    def reject(self, interaction: Interaction, reason: str) -> None:
        """Keep *interaction*, which is refused for good, with the *reason*; `write_rejected` brings it to the disk."""
        self._rejected.add(interaction, reason)

    def write_rejected(self) -> None:
        """Bring what was refused to the disk."""
        self._rejected.write()

    def leave(self, life: Life, forgone: Sequence[Range]) -> bool:
        """Leave it to whoever replays this to tell that numbers of *life* are *forgone*; whether that is on disk."""
        try:
            self._demand_room(len(json.dumps(forgone)))
            make_directory(self._directory)
            made = Segment.make(self._directory, life)
            try:
                for start in range(0, len(forgone), MOST):
                    made.forgo(forgone[start : start + MOST])
            finally:
                made.release()
        except OSError as error:
            self.error = _words(error)
            return False
        return True

    def close(self, *, settled: bool) -> None:
        """Let go of all; remove what is ours if it is all *settled*."""
        self.write_rejected()
        for each in self._held():
            if settled and each.life is self._life:
                self._finish(each)
            else:
                each.release()
        self._ready.clear()
        self._found.clear()
        self._writing = None

    def hand_on(self) -> None:
        """Let go of all that was written until now, for others to take over."""
        self.abandon()
        self._ready.clear()
        self._writing = None

    def abandon(self) -> None:
        """Close what a fork left open here: it is the parent's."""
        for each in self._held():
            each.release()

    def _held(self) -> Iterator[Segment]:
        yield from self._ready
        if self._writing is not None:
            yield self._writing

    def _seal(self) -> None:
        """Write no more into the segment that is written, so that it can be replayed and removed."""
        assert self._writing is not None
        self._ready.append(self._writing)
        self._writing = None

    def _demand_room(self, size: int, *, beside: int = 0) -> None:
        """Take note that *size* more bytes come. Raises: OSError, when these and those *beside* have no room."""
        now = time.monotonic()
        if self._measured_at + MEASURED <= now or self._used + size + beside > self._limit:
            self._used = sum(map(size_of, segments(self._directory)))
            self._measured_at = now
        if self._used + size + beside > self._limit:
            raise OSError(f"the spool in {self._directory} is full: {self._used} of {self._limit} bytes")
        self._used += size


def segments(directory: Path) -> list[Path]:
    """Return the segments in *directory*, the oldest first, damaged ones too."""
    return sorted(each for each in files_in(directory) if each.suffix in (SUFFIX, DAMAGED))


def _is_unread(segment: Segment) -> bool:
    """Whether *segment* has something to be read, or nothing that is to be settled."""
    return segment.position < segment.size or not segment.unsettled


def _words(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)
