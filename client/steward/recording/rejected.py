"""
The rejected part of a spool: what the server refused for good, a line of JSON each, with the reason.

It is for people to look at, so it is bounded by leaving out the oldest. Whoever adds to it has a file of his own, and
begins another when that is large.
"""

import json
import os
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from steward import ids
from steward.disk import files_in, make_directory, size_of
from steward.recording.batches import plain
from steward.types import Interaction

REJECTED = "rejected"  # the directory
FILES = 8  # that it has when it is full of large ones: with the oldest so much of it goes


class Rejected:
    """The rejected part, as one recorder adds to it: at most *limit* bytes, those of other recorders included."""

    def __init__(self, spool: Path, *, limit: int) -> None:
        """Prepare to add to what is in the directory *spool* of a target."""
        self.error = ""  # why it could not be written; empty once it could
        self._spool = spool
        self._directory = spool / REJECTED
        self._limit = limit
        self._lines: deque[bytes] = deque()  # not written yet
        self._path: Path | None = None  # of the file that is added to

    def add(self, interaction: Interaction, reason: str) -> None:
        """Take *interaction*, which is refused for good, with the *reason*; `write` brings it to the disk."""
        line = {
            "rejected_at": datetime.now(UTC).isoformat(),
            "reason": reason,
            "interaction": plain(interaction),
        }
        self._lines.append((json.dumps(line) + "\n").encode())

    def write(self) -> None:
        """Bring all that was added to the disk, as far as there is room for it; what fails is tried again next time."""
        if not self._lines:
            return
        try:
            self._leave_out()
            make_directory(self._spool)
            make_directory(self._directory)
            while self._lines:
                part = self._next()
                self._append(b"".join(part))
                for _ in part:
                    self._lines.popleft()
        except OSError as error:
            self.error = str(error)
        else:
            self.error = ""

    def _leave_out(self) -> None:
        """
        Leave out the oldest, of files and of what is not written, so that there is room for the rest.

        Raises: OSError, when nothing is left of what was to be written.
        """
        size = sum(map(len, self._lines))
        while size > self._limit:
            size -= len(self._lines.popleft())
        if not self._lines:
            raise OSError(f"what was refused is larger than the {self._limit} bytes that {self._directory} may have")
        sizes = {path: size_of(path) for path in kept(self._spool)}
        used = sum(sizes.values())
        for path, freed in sizes.items():
            if used + size <= self._limit:
                break
            path.unlink(missing_ok=True)
            used -= freed

    def _next(self) -> list[bytes]:
        """Return the next that go into one file."""
        found, size = list[bytes](), 0
        for line in self._lines:
            size += len(line)
            if found and size > self._limit // FILES:
                break
            found.append(line)
        return found

    def _append(self, data: bytes) -> None:
        """Add *data* to our file, or to a new one where that is large, or gone. Raises: OSError."""
        size = 0 if self._path is None else size_of(self._path)
        if self._path is None or not size or size + len(data) > self._limit // FILES:
            self._path, size = self._directory / f"{ids.mint()}.jsonl", 0
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        except OSError:
            if size:
                os.ftruncate(fd, size)
            else:
                self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)


def kept(spool: Path) -> list[Path]:
    """Return the files in the directory *spool* of a target that hold what was refused, the oldest first."""
    return sorted(files_in(spool / REJECTED))
