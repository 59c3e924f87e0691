"""
Tells watchers what happens, each at its own pace: what streams send that go on until someone ends them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from steward.errors import Error, ResourceExhausted, Unavailable

T = TypeVar("T")

MOST_WATCHERS = 100  # each holds a call for as long as it likes
MOST_BEHIND = 1000  # things that a watcher has not been told yet


class Watch(Generic[T]):
    """One watcher's view of a feed."""

    def __init__(self) -> None:
        self._untold: asyncio.Queue[T | Error] = asyncio.Queue()

    async def next(self, *, within: float) -> T | None:
        """
        Return the next thing that happens, None when nothing does *within* so many seconds.

        Raises: Unavailable when the server stops, ResourceExhausted when too much was not read.
        """
        try:
            async with asyncio.timeout(within):
                item = await self._untold.get()
        except TimeoutError:
            return None
        if isinstance(item, Error):
            raise item
        return item

    def tell(self, item: T) -> None:
        """Have *item* be the next thing, after those that are not read yet."""
        if self._untold.qsize() < MOST_BEHIND:
            self._untold.put_nowait(item)
        else:
            message = "too much happened that was not read: watch again, from how it is now"
            self.end(ResourceExhausted(message, reason="WATCHER_TOO_SLOW", retry_after=1.0))

    def end(self, error: Error) -> None:
        """Have the watcher be told *error*, and nothing else."""
        while not self._untold.empty():
            self._untold.get_nowait()
        self._untold.put_nowait(error)


class Feed(Generic[T]):
    """What happens, from `publish` to everyone who watches, until `stop`."""

    def __init__(self) -> None:
        self._watches: set[Watch[T]] = set()
        self._stopped = False

    @property
    def watched(self) -> bool:
        """Whether anyone watches."""
        return bool(self._watches)

    def publish(self, item: T) -> None:
        """Tell *item* to everyone who watches."""
        for watch in self._watches:
            watch.tell(item)

    def stop(self) -> None:
        """End all watches, and let none begin."""
        self._stopped = True
        for watch in self._watches:
            watch.end(_stopping())

    @contextmanager
    def subscribed(self) -> Iterator[Watch[T]]:
        """Begin to watch. Raises: ResourceExhausted when too many do, Unavailable when the server stops."""
        if self._stopped:
            raise _stopping()
        if len(self._watches) >= MOST_WATCHERS:
            message = f"{MOST_WATCHERS} calls watch already, which is as many as may"
            raise ResourceExhausted(message, reason="TOO_MANY_CALLS", retry_after=5.0)
        watch: Watch[T] = Watch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0)
