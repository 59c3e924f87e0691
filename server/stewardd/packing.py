"""
How a store's file is compressed into a backup, and out of it again, with the digests of both.

Reads and writes files that it is given; opens but the one that it packs.
"""

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import zstandard

from steward.types import Backup, BackupPhase, BackupProgress

T = TypeVar("T")
Steps = Generator[BackupProgress, None, T]

# One thread compresses while this one digests: with two, on two cores, the slowest of those who record meanwhile wait
# twice as long as without a backup. Level 2 takes one as long as level 3 takes two, for a tenth more on disk. Less is
# under way at a time than there would be by itself, which halves the memory.
_COMPRESSION = zstandard.ZstdCompressionParameters.from_level(2, threads=1, job_size=2**20)
_WINDOW = 2**27  # bytes: the most that zstd's own command unpacks by default
_SIP = 64 * 1024  # bytes of it at a time
_BLOCK = 4 * 1024 * 1024  # bytes at a time: each change of hands of Python's lock may hold those up who record


def pack(plain: Path, packed: BinaryIO) -> Steps[dict[str, Any]]:
    """Compress *plain* into *packed*; return the sizes and digests of both."""
    before, after = hashlib.sha256(), hashlib.sha256()
    size, done, stored = plain.stat().st_size, 0, 0
    compressor = zstandard.ZstdCompressor(compression_params=_COMPRESSION).compressobj(size=size)
    with plain.open("rb", buffering=0) as file:
        while True:
            yield BackupProgress(BackupPhase.PACKING, done, size)
            block = file.read(_BLOCK)
            piece = compressor.compress(block) if block else compressor.flush()
            before.update(block)
            after.update(piece)
            packed.write(piece)
            done, stored = done + len(block), stored + len(piece)
            if not block:
                break
    return {
        "plain_bytes": done,
        "plain_sha256": before.hexdigest(),
        "stored_bytes": stored,
        "stored_sha256": after.hexdigest(),
    }


def unpack(packed: BinaryIO, plain: BinaryIO, backup: Backup) -> Steps[str]:
    """Write what *packed* unpacks to into *plain*; return what is wrong with it, '' when it is what *backup* says."""
    before: Any = _Digested(packed, backup.stored_bytes)
    after, done = hashlib.sha256(), 0
    with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(before, read_size=_SIP) as reader:
        while True:
            yield BackupProgress(BackupPhase.UNPACKING, done, backup.plain_bytes)
            try:
                block = reader.read(_BLOCK)
            except zstandard.ZstdError:
                return "its content cannot be unpacked"
            if not block:
                break
            done += len(block)
            if done > backup.plain_bytes:
                return "it unpacks to more than its manifest says"
            after.update(block)
            plain.write(block)
    while before.read(_BLOCK):
        pass
    if before.hexdigest() != backup.stored_sha256:
        return "its content is not what was stored"
    if (done, after.hexdigest()) != (backup.plain_bytes, backup.plain_sha256):
        return "it unpacks to something else than was packed"
    return ""


class _Digested:
    """The first bytes of a file, with the digest of those that were read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        file.seek(0)
        self._file = file
        self._left = size
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self._file.read(min(size, self._left))
        self._left -= len(block)
        self._digest.update(block)
        return block

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
