"""
grpc.health.v1.Health: what Kubernetes, grpc_health_probe and load balancers ask.

The library's servicer has no List, says SERVING before anything is ready, and keeps its watchers waiting through a
stop, which takes up the whole grace.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthServicer

from steward.errors import NotFound

UNKNOWN, SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)


class Probe(HealthServicer):  # type: ignore[misc] # the library has no types
    """Says which services serve: none at first, none from `stop` on."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._statuses = dict.fromkeys(("", *services), NOT_SERVING)
        self._changed = asyncio.Condition()
        self._stopping = False

    async def Check(self, request: Any, context: Any) -> Any:
        if request.service not in self._statuses:
            raise NotFound("no service has this name")
        return health_pb2.HealthCheckResponse(status=self._statuses[request.service])

    async def List(self, request: Any, context: Any) -> Any:
        statuses = {name: health_pb2.HealthCheckResponse(status=each) for name, each in self._statuses.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(self, request: Any, context: Any) -> None:
        told = None
        while True:
            status, last = self._statuses.get(request.service, UNKNOWN), self._stopping
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if last:
                return
            async with self._changed:
                await self._changed.wait_for(
                    lambda: self._stopping or self._statuses.get(request.service, UNKNOWN) != told  # noqa: B023 -- now
                )

    async def say(self, *, serving: bool, services: Iterable[str] | None = None) -> None:
        """Say whether *services* are *serving*, or all."""
        if not self._stopping:
            await self._set(SERVING if serving else NOT_SERVING, services or self._statuses)

    async def stop(self) -> None:
        """Say that nothing serves, and end the watches."""
        self._stopping = True
        await self._set(NOT_SERVING, self._statuses)

    async def _set(self, status: Any, services: Iterable[str]) -> None:
        self._statuses = {**self._statuses, **dict.fromkeys(services, status)}
        async with self._changed:
            self._changed.notify_all()
