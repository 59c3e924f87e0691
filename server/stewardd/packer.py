"""
The program that compresses a store's file, or unpacks it: from its standard input to its output.

    python -m stewardd.packer [--hurry] pack
    python -m stewardd.packer [--hurry] unpack STORED_BYTES PLAIN_BYTES

It runs beside a server that must not wait for it, so it has the least priority, is one thread, and rests after each
fraction of a millisecond, unless it is to hurry; and it imports little, so that it takes little memory. On the standard
error it writes lines of JSON: the bytes of plain content done, and at the end an object of what came of it. It ends
when nobody reads them.
"""

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

import zstandard

T = TypeVar("T")
Done = Generator[int, None, T]  # yields bytes of plain content

_LEAST = 19  # niceness

_COMPRESSION = zstandard.ZstdCompressionParameters.from_level(2)  # level 3 takes a fifth longer, for a tenth less
_WINDOW = 2**27  # bytes: the most that zstd's own command unpacks by default
_SIP = 64 * 1024  # bytes of it at a time

# Whoever wakes up on Linux may have to wait for the next tick, up to 4 ms, whatever the priorities: who ran much of
# late is not eligible at once (https://docs.kernel.org/scheduler/sched-eevdf.html). So this one rests before that.
_TURN = 128 * 1024  # bytes between two rests: half a millisecond of work
_REST = 20e-6  # s, at least
_TOLD = 4 * 1024 * 1024  # bytes between two reports


def pack(plain: BinaryIO, packed: BinaryIO) -> Done[dict[str, Any]]:
    """Compress *plain* into *packed*; return the sizes and digests of both."""
    before, after = hashlib.sha256(), hashlib.sha256()
    done, stored = 0, 0
    size = os.fstat(plain.fileno()).st_size
    compressor = zstandard.ZstdCompressor(compression_params=_COMPRESSION).compressobj(size=size)
    while True:
        yield done
        block = plain.read(_TURN)
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


def unpack(packed: BinaryIO, plain: BinaryIO, stored_bytes: int, plain_bytes: int) -> Done[dict[str, Any]]:
    """
    Write what the first *stored_bytes* of *packed* unpack to into *plain*; return the size and the digests of both.

    The object has but a "problem" when they cannot be unpacked, or to more than *plain_bytes*.
    """
    before: Any = _Digested(packed, stored_bytes)
    after, done = hashlib.sha256(), 0
    with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(before, read_size=_SIP) as reader:
        while True:
            yield done
            try:
                block = reader.read(_TURN)
            except zstandard.ZstdError:
                return {"problem": "its content cannot be unpacked"}
            if not block:
                break
            done += len(block)
            if done > plain_bytes:
                return {"problem": "it unpacks to more than its manifest says"}
            after.update(block)
            plain.write(block)
    before.read_on()
    return {"plain_bytes": done, "plain_sha256": after.hexdigest(), "stored_sha256": before.hexdigest()}


class _UnreadableError(Exception):
    """What is to be unpacked cannot be read."""


class _Digested:
    """The first bytes of a file, with the digest of those that were read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        try:
            block = self._file.read(min(size, self._left))
        except OSError as error:
            raise _UnreadableError(error.strerror) from error
        self._left -= len(block)
        self._digest.update(block)
        return block

    def read_on(self) -> None:
        """Read what is left."""
        left = True
        while left:
            left = bool(self.read(_TURN))

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _say(what: object) -> None:
    sys.stderr.write(f"{json.dumps(what)}\n")
    sys.stderr.flush()


def _give_way() -> None:
    """Have all others go first."""
    os.nice(_LEAST)
    if hasattr(os, "SCHED_IDLE"):  # Linux: whoever wakes up runs at once, instead of after some milliseconds
        with suppress(OSError):  # some sandboxes do not know of it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _main(kind: str, *sizes: str, hurry: bool) -> None:
    if not hurry:
        _give_way()
    for each in (signal.SIGINT, signal.SIGTERM):  # they come to all of a group; who started this sees to its end
        signal.signal(each, signal.SIG_IGN)
    with open(0, "rb", buffering=0) as source, open(1, "wb") as target:
        source.seek(0)
        steps = pack(source, target) if kind == "pack" else unpack(source, target, *map(int, sizes))
        tell = 0
        try:
            while True:
                try:
                    done = next(steps)
                except StopIteration as end:
                    target.flush()
                    _say(end.value)
                    return
                except _UnreadableError as error:
                    _say({"problem": f"its content cannot be read: {error}"})
                    return
                if done >= tell:
                    _say(done)
                    tell = done + _TOLD
                if not hurry:
                    time.sleep(_REST)
        except BrokenPipeError:
            os._exit(1)
        except OSError as error:
            _say({"errno": error.errno})
            os._exit(1)


if __name__ == "__main__":
    _main(*(each for each in sys.argv[1:] if each != "--hurry"), hurry="--hurry" in sys.argv)
