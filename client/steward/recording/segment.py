"""
A file of the spool: records in the order in which they came, each with its length and checksum.

    frame   length of the message (4 bytes), CRC-32 of the rest (4), number (8), message; little-endian
    header  the first frame: number 0, and whose numbering it is, as JSON
    forgone any other frame of number 0: numbers that never come, as JSON: [[first, last], ...]

Whoever holds the file locked may write, read or remove it. The kernel lets go of the lock when its holder dies. A frame
that a crash cut off at the end is left out.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from steward import ids
from steward.disk import sync_directory
from steward.recording.batches import Life, Range, Record
from steward.recording.numbers import MOST

SUFFIX = ".spool"
DAMAGED = ".damaged"
FORMAT = 1
LOCKS = find_spec("fcntl") is not None  # Windows has none

HEAD = 16  # bytes of a frame beside its message
_HEAD = struct.Struct("<IIQ")
_NUMBERS = 1 << 64
_CHUNK = 256 * 1024  # bytes read at once
_MODE = 0o600


class Foreign(ValueError):
    """What no recorder wrote, though it is where it would be."""


class Newer(ValueError):
    """What a recorder of a later version wrote: it is for that one to read."""


class Segment:
    """A file of the spool, held."""

    def __init__(self, path: Path, fd: int, life: Life, *, start: int, size: int) -> None:
        """Take over *fd*, whose lock is ours, with records of *life* from *start* up to its *size*."""
        self.path = path
        self.life = life
        self.position = start  # what is before it was read
        self.unsettled = 0  # places in it that were read and are not settled
        self.size = size  # bytes that are good
        self.damaged = False
        self._given_up = False
        self._fd = fd

    @classmethod
    def make(cls, directory: Path, life: Life) -> Self:
        """Make a new one in *directory* for records of *life*, on disk when this returns. Raises: OSError."""
        made = None
        while made is None:
            path = directory / f"{ids.mint()}{SUFFIX}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
            try:
                made = cls._begun(path, fd, life) if _held_first(fd) else None
            finally:
                if made is None:
                    path.unlink(missing_ok=True)
                    os.close(fd)
        return made

    @classmethod
    def _begun(cls, path: Path, fd: int, life: Life) -> Self:
        """Return the new one at *path*, whose *fd* is locked, with its header on disk. Raises: OSError."""
        head = json.dumps({"format": FORMAT, "recorder_id": life.id, "recorder_name": life.name}).encode()
        first = frame(0, head)
        _write(fd, first, at=0)
        os.fsync(fd)
        sync_directory(path.parent)
        return cls(path, fd, life, start=len(first), size=len(first))

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """
        Take over the one at *path*, or return None while another holds it, or when it is gone.

        One that says not even whose it is holds nothing, and is removed; one that is none of ours gets another name;
        one of a later version is left alone. Raises: OSError.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            _hold(fd)
            found = cls._held(path, fd)
        except BlockingIOError:
            found = None
        except BaseException:
            os.close(fd)
            raise
        if found is None:
            os.close(fd)
        return found

    @staticmethod
    def is_held(path: Path) -> bool:
        """Whether somebody holds the one at *path*. Raises: OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _hold(fd)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    @classmethod
    def _held(cls, path: Path, fd: int) -> Self | None:
        """Return the one at *path*, whose *fd* is locked, if it has something for us. Raises: OSError."""
        status = os.fstat(fd)
        if status.st_nlink == 0:  # its holder was done with it just now
            return None
        found = cls(path, fd, Life("", ""), start=0, size=status.st_size)
        try:
            head = header(fd, status.st_size)
        except Newer:
            return None
        except Foreign:
            found.damaged = True
            found._remove()
            return None
        if head is None:
            found.damaged = not found._torn(0)
            found._remove()
            return None
        found.life, found.position = head
        return found

    @staticmethod
    def discard(path: Path) -> bool:
        """Delete the one at *path*, whatever is in it; False when another holds it. Raises: OSError."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _hold(fd)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @property
    def unlinked(self) -> bool:
        """Whether somebody deleted it, though it is held: nobody will find what is written into it."""
        return os.fstat(self._fd).st_nlink == 0

    def append(self, records: Sequence[Record]) -> None:
        """Write *records*, all or none; they are on disk when this returns. Raises: OSError."""
        self._append(b"".join(frame(number, message) for number, message in records))

    def forgo(self, ranges: Sequence[Range]) -> None:
        """Write that the numbers in *ranges* never come; that is on disk when this returns. Raises: OSError."""
        self._append(frame(0, json.dumps(ranges).encode()))

    def _append(self, data: bytes) -> None:
        try:
            _write(self._fd, data, at=self.size)
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.size)  # takes no room
            raise
        self.size += len(data)

    def read(self, most: int, size: int) -> tuple[list[Record], list[Range], int]:
        """Return up to *most* records of about *size* bytes from the position on, what is forgone, and their end."""
        found: list[Record] = []
        forgone: list[Range] = []
        end = self.position
        for number, message, after in frames(self._fd, self.position, self.size):
            if number == 0:
                try:
                    forgone = _ranges(message)
                except Foreign:
                    self.damaged, self.size = True, end
                else:
                    end = after
                break
            end = after
            found.append((number, message))
            if len(found) >= most or end - self.position >= size:
                break
        if end == self.position and end < self.size:
            self.damaged = not self._torn(end)
            self.size = end
        return found, forgone, end

    def finish(self) -> None:
        """
        Remove it and let go of it, as all in it is settled; what is damaged stays, under another name.

        Raises: OSError, when it stays as it is.
        """
        try:
            if not self._given_up:
                self._remove()
        finally:
            self.release()

    def _remove(self) -> None:
        if self.damaged:
            self.path.rename(self.path.with_suffix(DAMAGED))
        else:
            self.path.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Read no more of it, and have it stay."""
        self.size = self.position
        self._given_up = True

    def release(self) -> None:
        """Let go of it, for another to take over."""
        os.close(self._fd)

    def _torn(self, at: int) -> bool:
        """Whether what cannot be read from *at* on is what a crash cuts off: the last frame, or nothing but zeros."""
        rest = os.pread(self._fd, self.size - at, at)
        if len(rest) < HEAD or not any(rest):
            return True
        length, _, _ = _HEAD.unpack_from(rest)
        return bool(HEAD + length >= len(rest))


def frame(number: int, message: bytes) -> bytes:
    """Return *message* as it is written."""
    rest = number.to_bytes(8, "little")
    return _HEAD.pack(len(message), zlib.crc32(message, zlib.crc32(rest)), number) + message


def header(fd: int, size: int) -> tuple[Life, int] | None:
    """
    Return whose the first *size* bytes of *fd* are, and where the records begin; None when that is cut off.

    Raises: Foreign; Newer; OSError.
    """
    first = next(frames(fd, 0, size), None)
    if first is None:
        return None
    number, data, end = first
    match _parsed(data):
        case {"format": int(version)} if number == 0 and version > FORMAT:
            raise Newer(f"it has format {version}; this version reads {FORMAT}")
        case {"format": int(version), "recorder_id": str(id_), "recorder_name": str(name)} if (
            number == 0 and version == FORMAT and ids.parse(id_)
        ):
            return Life(id_, name), end
    raise Foreign("it has no header of ours")


def frames(fd: int, start: int, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield number, message and end of each good frame of *fd* from *start* to *end*, up to the first that is not."""
    held, at = b"", start  # what was read from there on
    while True:
        if len(held) < HEAD:
            held = os.pread(fd, min(_CHUNK, end - at), at)
            if len(held) < HEAD:
                return
        length, checksum, number = _HEAD.unpack_from(held)
        whole = HEAD + length
        if at + whole > end:
            return
        if len(held) < whole:
            held = os.pread(fd, min(max(_CHUNK, whole), end - at), at)
        message = held[HEAD:whole]
        if zlib.crc32(message, zlib.crc32(number.to_bytes(8, "little"))) != checksum:
            return
        at += whole
        held = held[whole:]
        yield number, message, at


def _ranges(message: bytes) -> list[Range]:
    """Return the numbers that *message* says never come. Raises: Foreign."""
    found = _parsed(message)
    if not isinstance(found, list) or len(found) > MOST or not all(map(_is_range, found)):
        raise Foreign("it has no numbers of ours")
    return [(first, last) for first, last in found]


def _is_range(value: Any) -> bool:
    match value:
        case [int(first), int(last)]:
            return 0 < first <= last < _NUMBERS
    return False


def _parsed(data: bytes) -> Any:
    """Return what *data* says in JSON. Raises: Foreign."""
    try:
        found = json.loads(data)
        json.dumps(found, ensure_ascii=False).encode()  # which half a surrogate pair does not bear, nor does protobuf
    except (ValueError, RecursionError) as error:
        raise Foreign("it is no JSON") from error
    return found


def _hold(fd: int) -> None:
    """Lock *fd* for this process. Raises: BlockingIOError when another has it."""
    import fcntl  # noqa: PLC0415 -- see LOCKS: all but the spool works without

    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _held_first(fd: int) -> bool:
    """Lock *fd*, a new file; whether no other saw it before, and took it for one that is over. Raises: OSError."""
    try:
        _hold(fd)
    except BlockingIOError:
        return False
    return os.fstat(fd).st_nlink > 0


def _write(fd: int, data: bytes, *, at: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, at)
        rest, at = rest[written:], at + written
