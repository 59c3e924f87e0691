"""
Takes interactions out, in a process of its own: given the address of a server, and how.

Greets with the first message. Then it answers each line, a number of rows to stop after or 0 for all, with the rows
it took, their bytes and the seconds; or "again", with which it goes on for ever, with nothing.
"""

import asyncio
import sys
from time import perf_counter
from typing import Any

from steward import ExportFormat
from steward.transport import aio_channel
from steward.v1 import export_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from tests.benchmarks.load import run


def begin(stub: Any, how: str) -> Any:
    """Return the call that takes them out, as the layout or the format *how*."""
    if how in ("ROWS", "COLUMNS"):
        layout = export_pb2.ExportLayout.Value(f"EXPORT_LAYOUT_{how}")
        return stub.ExportInteractions(export_pb2.ExportInteractionsRequest(layout=layout))
    return stub.ExportTable(
        export_pb2.ExportTableRequest(table="interactions", format=int(ExportFormat[how]))  # type: ignore[arg-type] # its number
    )


async def take(stub: Any, how: str, most: int) -> tuple[int, int, float]:
    """Return the rows that were taken, their bytes and the seconds; what is left is given up after *most* rows."""
    started = perf_counter()
    rows = size = 0
    call = begin(stub, how)
    async for part in call:
        size += part.ByteSize()
        rows = _reached(part, rows)
        if most and rows >= most:
            call.cancel()
            break
    return rows, size, perf_counter() - started


def _reached(part: Any, rows: int) -> int:
    match part.WhichOneof("part"):
        case "batch":
            return rows + (len(part.batch.columns.seq) or len(part.batch.rows.interactions))
        case "chunk":
            return max(rows, int(part.chunk.rows))
        case "trailer":
            return int(part.trailer.rows)
    return rows


async def main(target: str, how: str) -> None:
    """Take until standard input ends."""
    async with aio_channel(target) as channel:
        stub = DataManagementServiceStub(channel)
        await take(stub, how, 1)
        print("ready", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if line == "again":
                print("begun", flush=True)
                endless = asyncio.create_task(_endless(stub, how))
                await asyncio.to_thread(sys.stdin.read)
                endless.cancel()
                return
            print(*await take(stub, how, int(line)), flush=True)


async def _endless(stub: Any, how: str) -> None:
    while True:
        await take(stub, how, 0)


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
