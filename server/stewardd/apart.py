"""
Work that takes long in a process of its own: neither Python's lock nor the scheduler lets the others wait for it.

The processes are forks of a server that has no threads and no connections, started when the first is needed.
"""

import fcntl
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from steward.errors import Error, Unavailable

AHEAD = 512 * 1024  # bytes, about, that it may be ahead of what is taken
NICENESS = 10  # of what takes long: whoever records goes first

_CONTEXT = get_context("forkserver")


def preload(*modules: str) -> None:
    """Have the server of forks load *modules* once, for all."""
    _CONTEXT.set_forkserver_preload(["__main__", *modules])


class Apart:
    """Iterates in a process of its own, some items ahead of what is taken. Make it, take from it, and close it."""

    def __init__(self, items: Callable[..., Iterator[bytes]], *args: Any) -> None:
        """Begin to iterate over what *items* yields for *args*; all of it must be picklable."""
        self._received, sent = _CONTEXT.Pipe(duplex=False)
        _widen(sent)
        self._process = _CONTEXT.Process(target=_work, args=(sent, items, args), daemon=True)
        self._process.start()
        sent.close()

    def take(self) -> bytes | None:
        """Return the next item, None at the end. Raises: what *items* raised; Unavailable when its process died."""
        try:
            found = self._received.recv()
        except EOFError:
            raise Unavailable("the process of this export ended", reason="STORE_UNAVAILABLE", retry_after=1.0) from None
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return] # as `_work` sends it

    def end(self) -> None:
        """End the process, whatever it is at: a `take` under way raises."""
        self._process.kill()

    def close(self) -> None:
        """End it, and let go of all that is held for it. Nobody may still take."""
        self.end()
        self._process.join()
        self._process.close()
        self._received.close()


def _widen(pipe: Connection) -> None:
    """Have *pipe* hold AHEAD, where its size can be set: with Linux's 64 KiB each item would wait to be taken."""
    if sys.platform == "linux":
        with suppress(PermissionError):  # this user has as much in pipes as is allowed
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, AHEAD)


def _work(sent: Connection, items: Callable[..., Iterator[bytes]], args: tuple[Any, ...]) -> None:
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal it comes to all; the daemon sees to its end
    with suppress(BrokenPipeError):  # the daemon was killed
        try:
            for each in items(*args):
                sent.send(each)
            sent.send(None)
        except Error as error:
            sent.send(error)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 -- it is raised over there
            sent.send(_told(error))


def _told(error: Exception) -> Exception:
    """Return what stands for *error* in another process: its kind, and where it came from."""
    where = "".join(traceback.format_tb(error.__traceback__))
    return RuntimeError(f"{type(error).__name__} in the process of an export:\n{where}")
