"""
What is in a spool, for the operator: to be looked at, sent now, or deleted, beside recorders that are at work.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from steward import codec, ids
from steward.errors import FailedPrecondition, Unavailable
from steward.recording import spool
from steward.recording.commands import Flush
from steward.recording.core import Bounds, Core
from steward.recording.rejected import kept
from steward.recording.segment import DAMAGED, SUFFIX, Foreign, Newer, Segment, frames, header
from steward.recording.sender import Settings
from steward.transport import Retry
from steward.types import LIMITS, RecorderCounters

SLICE = 1.0  # s between looks at how it goes

State = Literal["waiting", "held", "damaged", "newer", "rejected", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFile:
    """A file of the spool."""

    target: str  # the server that its records are for
    name: str
    state: State  # held: a recorder is at work on it; newer: a later version wrote it
    records: int | None  # unset where that is not known
    stored_bytes: int
    oldest_at: datetime  # when it was begun
    problem: str = ""  # why it could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What became of a spool that was sent."""

    replayed: int  # acknowledged
    rejected: int  # refused for good; they are in the rejected part now
    left: int  # records that are still there
    unread_bytes: int  # of files that are still there, as they are damaged, of a newer version, or cannot be read


def listed(directory: Path) -> list[SpoolFile]:
    """Return what is in *directory*, target by target, the oldest first. Raises: OSError."""
    targets = sorted(each for each in directory.iterdir() if each.is_dir()) if directory.is_dir() else []
    return [file for target in targets for file in _of(target)]


def _of(directory: Path) -> Iterator[SpoolFile]:
    target = unquote(directory.name)
    for path in (*spool.segments(directory), *kept(directory)):
        try:
            status = path.stat()
            state, records, problem = _look(path)
        except FileNotFoundError:  # it was settled just now
            continue
        yield SpoolFile(
            target=target,
            name=path.name,
            state=state,
            records=records,
            stored_bytes=status.st_size,
            oldest_at=_begun(path, status),
            problem=problem,
        )


def _look(path: Path) -> tuple[State, int | None, str]:
    """
    Return in which state *path* is, how many records are in it, and why that is not known.

    Raises: FileNotFoundError.
    """
    try:
        if path.suffix not in (SUFFIX, DAMAGED):
            return "rejected", _lines(path), ""
        records = _records(path)
        return "held" if Segment.is_held(path) else "waiting", records, ""
    except FileNotFoundError:
        raise
    except Newer as error:
        return "newer", None, str(error)
    except Foreign as error:
        return "damaged", None, str(error)
    except OSError as error:
        return "unreadable", None, error.strerror or str(error)


def _records(path: Path) -> int:
    """Return how many records are in *path*. Raises: Newer; Foreign; OSError."""
    if path.suffix == DAMAGED:
        raise Foreign("not all in it could be read; what could be was sent")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        header(fd, size)
        return sum(number > 0 for number, _, _ in frames(fd, 0, size))
    finally:
        os.close(fd)


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _begun(path: Path, status: os.stat_result) -> datetime:
    """Return when *path* was begun: its name says so, or else when it was changed last."""
    named = ids.parse(path.stem)
    seconds = status.st_mtime if named is None else int.from_bytes(named[:6], "big") / 1000
    return codec.EPOCH + seconds * (1_000_000 * codec.MICROSECOND)


def replay(directory: Path, *, of: str, to: str, timeout: float) -> Replay:
    """
    Send what waits in *directory* for the target *of* to the server at *to*, until that fails or nothing is left.

    A call may take *timeout* seconds. Raises: Unavailable, saying how many were sent, when the server does not take it.
    """
    own = spool.of_target(directory, of)
    settings = Settings(
        target=to,
        timeout=timeout,
        retry=Retry(),
        batch_records=LIMITS.batch_size,
        batch_bytes=LIMITS.message_bytes // 8,
        max_age=SLICE,
    )
    bounds = Bounds(overflow="raise", queue_records=1, queue_bytes=1, spool=own, spool_bytes=1 << 62)
    core = Core(settings, bounds, name="steward spool replay", told=None)
    while True:
        before, deadline = core.counters(), time.monotonic() + SLICE
        core.intake.ask(lambda reply: Flush(reply, deadline, inherited=True), 2 * SLICE)  # noqa: B023 -- asked at once
        found = core.counters()
        if not core.replaying or (found.last_error and _settled(found) == _settled(before)):
            break
    core.ask_to_close(time.monotonic() + SLICE)
    core.wait_closed(time.monotonic() + SLICE)
    found, files = core.counters(), [each for each in _of(own) if each.state != "rejected"]
    left = sum(each.records or 0 for each in files)
    if left and found.last_error:
        raise Unavailable(f"{found.replayed} were sent, {left} are left: {found.last_error}")
    return Replay(
        replayed=found.replayed,
        rejected=found.replay_rejected,
        left=left,
        unread_bytes=sum(each.stored_bytes for each in files if each.records is None),
    )


def _settled(found: RecorderCounters) -> int:
    return found.replayed + found.replay_rejected


def purge(directory: Path, *, of: str, rejected_only: bool) -> list[str]:
    """
    Delete what no recorder holds in *directory* for the target *of*; return the names of what is gone.

    Raises: FailedPrecondition, when all but some are gone, naming those and what the disk says.
    """
    own = spool.of_target(directory, of)
    gone, stay = list[str](), list[str]()
    for path in [*kept(own), *([] if rejected_only else spool.segments(own))]:
        try:
            if _discard(path):
                gone.append(path.name)
        except FileNotFoundError:  # it was settled just now
            pass
        except OSError as error:
            stay.append(f"{path.name} ({error.strerror})")
    if stay:
        raise FailedPrecondition(f"{len(gone)} files are deleted, but not {', '.join(stay)}")
    return gone


def _discard(path: Path) -> bool:
    """Delete *path*; False when a recorder holds it. Raises: OSError."""
    if path.suffix == SUFFIX:
        return Segment.discard(path)
    path.unlink()
    return True
