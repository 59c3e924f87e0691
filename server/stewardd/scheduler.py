"""
Runs jobs again and again on the event loop, each at its own interval, one run of a job at a time.

Knows nothing of what the jobs do. A run that fails is logged, and the next one comes all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable

from steward.errors import Error
from stewardd.telemetry import Telemetry


class Scheduler:
    """Jobs under way, until `close`."""

    def __init__(self, *, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, job: Callable[[], Awaitable[object]], *, name: str) -> None:
        """Run *job* so many *seconds* from now, and again so many after each run."""
        self._tasks.append(asyncio.create_task(self._repeat(seconds, job, name), name=name))

    async def close(self) -> None:
        """Run nothing more. What is running is cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _repeat(self, seconds: float, job: Callable[[], Awaitable[object]], name: str) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await job()
            except Error as error:
                self._telemetry.log.warning("job.failed", job=name, reason=error.reason)
            except Exception:
                self._telemetry.log.exception("job.failed", job=name)
