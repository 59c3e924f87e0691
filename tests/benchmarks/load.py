"""
How a server is put under load, and what it costs: calls in flight, latencies, rates.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a number of calls."""

    seconds: float  # from the first request to the last answer
    latencies: list[float]  # s, one a call

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return len(self.latencies) / self.seconds


async def drive(call: Callable[..., Any], requests: Sequence[Any], *, in_flight: int) -> Run:
    """Send *requests*, as many at a time as are to be *in_flight*."""
    latencies: list[float] = []
    left = iter(requests)

    async def caller() -> None:
        for request in left:
            sent = perf_counter()
            await call(request)
            latencies.append(perf_counter() - sent)

    started = perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return Run(perf_counter() - started, latencies)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return what *percent* of *values* do not exceed."""
    return quantiles(values, n=100)[percent - 1]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on uvloop where that is installed, as the daemon does."""
    try:
        import uvloop  # noqa: PLC0415 -- an extra
    except ImportError:
        return asyncio.run(main)
    result: T = uvloop.run(main)
    return result
