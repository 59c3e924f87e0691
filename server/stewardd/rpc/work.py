"""
Work that takes its time: run on a thread of its own, one at a time, while whoever waits is told how far it has come.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Generic, Never, ParamSpec, TypeVar

from steward.errors import Cancelled, ResourceExhausted, Unavailable
from stewardd.apart import NICENESS
from stewardd.rpc.readers import Readers

A = ParamSpec("A")
P = TypeVar("P")
T = TypeVar("T")

TELL = 0.2  # s between looks at how far it has come


class Work(Generic[P, T]):
    """Something under way, step by step. It goes on however slowly it is asked about."""

    def __init__(self, steps: Generator[P, None, T]) -> None:
        self._steps = steps
        self._stopped = False
        self.progress: P | None = None  # the newest

    def stop(self) -> None:
        """Have it end before its next step."""
        self._stopped = True

    def run(self) -> T:
        """Do all steps, and return what comes of them. Raises: Cancelled when it was stopped."""
        _give_way()
        try:
            while not self._stopped:
                self.progress = next(self._steps)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            self._steps.close()
        raise Cancelled("it was stopped before it was done")


class Worker:
    """Runs work, one at a time, until `stop`."""

    def __init__(self) -> None:
        self._thread = Readers(1, name="steward-backup")
        self._current: Work[Any, Any] | None = None
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._current is not None

    async def do(self, steps: Generator[P, None, T]) -> T:
        """
        Return what comes of *steps*, which end early when nobody waits any more.

        Raises: ResourceExhausted when something is under way.
        """
        work = Work(steps)
        done = self._begin(work)
        try:
            return await asyncio.shield(done)
        finally:
            work.stop()

    async def tell(self, steps: Generator[P, None, T]) -> AsyncGenerator[P | T, None]:
        """
        Yield how far *steps* have come, whenever that changes, and at last what comes of them.

        They end early when nobody listens any more. Raises: ResourceExhausted when something is under way.
        """
        work = Work(steps)
        done, told = self._begin(work), None
        try:
            while not done.done():
                await asyncio.wait([done], timeout=TELL)
                if work.progress is not None and work.progress is not told and not done.done():
                    told = work.progress
                    yield told
            yield await done
        finally:
            work.stop()

    def stop(self) -> None:
        """End what is under way, and let nothing begin."""
        self._stopped = True
        if self._current is not None:
            self._current.stop()

    def close(self) -> None:
        """Wait for what ends, and end the thread."""
        self._thread.close()

    def _begin(self, work: Work[P, T]) -> "asyncio.Task[T]":
        if self._stopped:
            raise Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0)
        if self._current is not None:
            message = "something is being done to the backups, and one thing at a time is"
            raise ResourceExhausted(message, reason="BACKUP_RUNNING", retry_after=2.0)
        self._current = work
        begun = asyncio.ensure_future(self._run(work))
        begun.add_done_callback(_heard)
        return begun

    async def _run(self, work: Work[P, T]) -> T:
        try:
            return await self._thread(work.run)
        except Cancelled:
            if self._stopped:
                raise Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0) from None
            raise
        finally:
            self._current = None


def once(step: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> Generator[Never, None, T]:
    """Return *step* as work of that one step."""
    yield from ()
    return step(*args, **kwargs)


def _heard(done: "asyncio.Task[Any]") -> None:
    """Take note of what *done* met, which nobody may wait for any more."""
    if not done.cancelled():
        done.exception()


def _give_way() -> None:
    """Have the other threads go before this one, where threads have a niceness of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
