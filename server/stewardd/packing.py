"""
How a store's file is compressed into a backup, and out of it again, with the digests of both.

The work is done by a program of its own, `packer`: in the server's process, Python's lock would change hands so often
that the slowest of those who record meanwhile waited several times as long.
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Generator, Iterator
from typing import IO, Any, BinaryIO, TypeVar

from steward.errors import Unavailable
from steward.types import Backup, BackupPhase, BackupProgress

T = TypeVar("T")
Steps = Generator[BackupProgress, None, T]

SILENCE = 1.0  # s
_SIP = 64 * 1024  # bytes


def pack(plain: BinaryIO, packed: BinaryIO, *, rest: bool = True) -> Steps[dict[str, Any]]:
    """
    Compress *plain* into *packed*, with a *rest* now and then for others; return the sizes and digests of both.

    Raises: OSError when there is no room, Unavailable when the program that does it was ended.
    """
    size = os.fstat(plain.fileno()).st_size
    how = ("pack",) if rest else ("--hurry", "pack")
    return (yield from _done_by(*how, source=plain, target=packed, phase=BackupPhase.PACKING, size=size))


def unpack(packed: BinaryIO, plain: BinaryIO, backup: Backup) -> Steps[str]:
    """
    Write what *packed* unpacks to into *plain*; return what is wrong with it, '' when it is what *backup* says.

    Raises: as `pack`.
    """
    sizes = (backup.stored_bytes, backup.plain_bytes)
    size = backup.plain_bytes
    found = yield from _done_by("unpack", *sizes, source=packed, target=plain, phase=BackupPhase.UNPACKING, size=size)
    if "problem" in found:
        return str(found["problem"])
    if found["stored_sha256"] != backup.stored_sha256:
        return "its content is not what was stored"
    if (found["plain_bytes"], found["plain_sha256"]) != (backup.plain_bytes, backup.plain_sha256):
        return "it unpacks to something else than was packed"
    return ""


def _done_by(
    *arguments: object, source: BinaryIO, target: BinaryIO, phase: BackupPhase, size: int
) -> Steps[dict[str, Any]]:
    """Have the program do it, of whose *size* bytes it tells how many are done; return the object that it ends with."""
    command = [sys.executable, "-P", "-m", "stewardd.packer", *map(str, arguments)]
    done = 0
    with subprocess.Popen(command, stdin=source, stdout=target, stderr=subprocess.PIPE, bufsize=0) as process:  # noqa: S603 -- ours
        assert process.stderr is not None
        try:
            for line in _lines(process.stderr):
                said = _read(line)
                if isinstance(said, int):
                    done = said
                elif isinstance(said, dict) and "errno" in said:
                    raise OSError(said["errno"], os.strerror(said["errno"]))
                elif isinstance(said, dict):
                    return said
                yield BackupProgress(phase, done, size)
        finally:
            process.kill()
    raise Unavailable("the program that packs backups was ended", reason="STORE_UNAVAILABLE", retry_after=1.0)


def _lines(pipe: IO[bytes]) -> Iterator[bytes]:
    """Yield each line that comes through *pipe*; an empty one when none came for a while: whoever waits may stop."""
    left = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(SILENCE):
                yield b""
            elif data := pipe.read(_SIP):
                *lines, left = (left + data).split(b"\n")
                yield from lines
            else:
                return


def _read(line: bytes) -> Any:
    """Return what the program says in *line*; None for what Python itself may write to the standard error."""
    try:
        return json.loads(line)
    except ValueError:
        return None
