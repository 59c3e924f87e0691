"""
How soon a watcher is told of an alert, from the moment its evaluation is asked for.
"""

import asyncio
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from steward import AlertEventKind, AlertMetric, AlertOperator
from steward.aio import AsyncClient
from stewardd.testing import Daemon

TIMES = 50
TOLD = (AlertEventKind.FIRED, AlertEventKind.RESOLVED)


async def alert_seen(data: Path) -> dict[str, Any]:
    """Have a rule fire and clear, evaluation by evaluation, while someone watches."""
    heard: asyncio.Queue[float] = asyncio.Queue()
    with Daemon(data, environment={"STEWARD_ALERT_SECONDS": "3600"}) as daemon:
        async with AsyncClient(daemon.target) as client:
            ready = asyncio.Event()
            watching = asyncio.create_task(_watch(client, heard, ready))
            await ready.wait()
            took = [await _changed(client, heard, firing=number % 2 == 0) for number in range(TIMES)]
            watching.cancel()
    return {"case": "alert_seen", "times": TIMES, "p50_s": median(took), "max_s": max(took), "at_most": 2.0}


async def _watch(client: AsyncClient, heard: asyncio.Queue[float], ready: asyncio.Event) -> None:
    async for event in client.watch_alerts():
        if event.kind in TOLD:
            heard.put_nowait(perf_counter())
        ready.set()


async def _changed(client: AsyncClient, heard: asyncio.Queue[float], *, firing: bool) -> float:
    """Return the seconds until the watcher heard that the rule is *firing*, or is no longer."""
    if firing:
        metric, operator = AlertMetric.TOTAL_INTERACTIONS, AlertOperator.LT
        await client.set_alert_rule("empty", metric=metric, operator=operator, threshold=1)
        started = perf_counter()
        await client.evaluate_alerts()
    else:
        started = perf_counter()
        await client.set_alert_rule("empty", threshold=0)
    return await heard.get() - started
