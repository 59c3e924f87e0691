"""
Opens a file that is read line by line, unpacking it on the way: constant memory, whatever it unpacks to.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from steward.errors import InvalidArgument

STDIN = Path("-")
MOST_LINE = 1024**2  # bytes: a question of 64 KiB, every character of it escaped, and then some
MOST_BYTES = 64 * 1024**3  # of a file, unpacked
_PIECE = 64 * 1024
_SIP = 512  # bytes of zstd: 4 of them may make a block of 128 KiB, and all that they make is held
_WINDOW = 2**27  # bytes: the most that zstd's own command unpacks by default


class Source:
    """An open file, or the standard input. Close it at the end."""

    def __init__(self, path: Path) -> None:
        """Open the file at *path*, packed if it ends in .gz or .zst, or the standard input. Raises: InvalidArgument."""
        self.name = "the standard input" if path == STDIN else str(path)
        try:
            self._file: IO[bytes] = sys.stdin.buffer if path == STDIN else path.open("rb")
            self.size = 0 if path == STDIN else path.stat().st_size  # bytes as they lie there; 0 when not known
        except OSError as error:
            raise self.refused(f"cannot be read: {error.strerror}") from None
        try:
            self._content = self._unpacked(path.suffix.lower())
        except InvalidArgument:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def refused(self, why: str) -> InvalidArgument:
        """Return the error that says *why* it is not taken."""
        return InvalidArgument(f"{self.name} {why}")

    def done(self) -> int:
        """Return how many bytes of its size are read."""
        return self._file.tell() if self.size else 0

    def lines(self) -> Iterator[bytes]:
        """Yield its lines with their ends; of one longer than MOST_LINE bytes the beginning, which is longer too."""
        total = 0
        while line := self._line():
            total += len(line)
            yield line
            while len(line) > MOST_LINE and not line.endswith(b"\n"):  # of such a line, leave out the rest
                line = self._line()
                total += len(line)
            if total > MOST_BYTES:
                raise self.refused("unpacks to more than 64 GiB")

    def _line(self) -> bytes:
        try:
            line: bytes = self._content.readline(MOST_LINE + 1)
        except EOFError:
            raise self.refused("is truncated: it ends too early to be unpacked") from None
        except (OSError, zlib.error) as error:  # gzip.BadGzipFile is an OSError, and so is what we make of zstd's
            raise self.refused(f"cannot be read: {getattr(error, 'strerror', None) or 'it is damaged'}") from None
        return line

    def _unpacked(self, suffix: str) -> Any:
        if suffix == ".gz":
            return gzip.open(self._file)
        if suffix != ".zst":
            return self._file
        try:
            return io.BufferedReader(_Zstandard(self._file), _PIECE)
        except ImportError:
            raise self.refused("cannot be unpacked here: install steward-data[cli], or zstandard") from None


class _Zstandard(io.RawIOBase):
    """What is in a file packed by Zstandard. The library's own reader takes a truncated file for a whole one."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard  # noqa: PLC0415 -- of the extra cli, and seldom needed

        self._file = file
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._error = zstandard.ZstdError
        self._frame: Any = None  # that is being unpacked
        self._packed = b""  # read, and behind the last frame
        self._content = memoryview(b"")  # unpacked, and not yet read

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into *buffer*. Raises: EOFError when the file ends within a frame, OSError when it is damaged."""
        while not self._content:
            packed = self._packed or self._file.read(_SIP)
            if not packed:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._content = memoryview(self._unpack(packed))
        count = min(len(buffer), len(self._content))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count

    def _unpack(self, packed: bytes) -> bytes:
        self._frame = self._frame or self._unpacker.decompressobj()
        try:
            content: bytes = self._frame.decompress(packed)
        except self._error:
            raise OSError from None
        self._packed = self._frame.unused_data if self._frame.eof else b""
        self._frame = None if self._frame.eof else self._frame
        return content
