"""
Exports over a line that is cut, from a server that restarts, to readers that stall: all comes once, the log is small.
"""

import json
import os
import random
import selectors
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

from steward import Client, ExportFormat
from steward.transport import Retry
from steward.v1 import export_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.testing import Daemon
from tests.benchmarks.child import Child
from tests.faults.journal import FILE, free_port
from tests.samples import interaction

pytestmark = pytest.mark.faults

CYCLES = int(os.environ.get("STEWARD_FAULT_CYCLES", "3"))
SEED = int(os.environ.get("STEWARD_FAULT_SEED", time.time_ns() % 10**9))
CUTS = 2 * CYCLES
RESTARTS = max(2, CYCLES // 5)
ROWS = 2000 * CUTS
CUT_AFTER = (30_000, 300_000)  # bytes, one or two batches
PATIENT = Retry(attempts=100, max_delay=0.5)

STALL = 60.0 if CYCLES >= 100 else 3.0  # s
STALLED = 100_000  # rows of an export that stalls: more than is on its way before anyone reads
WRITES = 500  # a second
TICKS = 10  # a second, in which so many of them are made at once
MOST_LOG = 64 * 1024 * 1024


class Line:
    """A line to a server that can be cut: a proxy of TCP, which does so by itself after some bytes."""

    def __init__(self, server: str, *, cuts: int) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._left = cuts
        self.cuts = 0
        self._chance = random.Random(SEED)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._door.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="line")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left = 0
        self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _serve(self) -> None:
        with self._door:
            while True:
                try:
                    caller, _ = self._door.accept()
                except OSError:
                    return
                with suppress(OSError), caller, socket.create_connection(self._server) as server:
                    self._pass(caller, server)

    def _pass(self, caller: socket.socket, server: socket.socket) -> None:
        """Pass what comes to the other side, until one ends or so much came that it is time to cut."""
        left = self._chance.randint(*CUT_AFTER)
        with selectors.DefaultSelector() as ready:
            ready.register(caller, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, caller)
            while True:
                for key, _ in ready.select():
                    assert isinstance(key.fileobj, socket.socket)
                    if not (data := key.fileobj.recv(16384)):
                        return
                    if key.fileobj is server:
                        left -= len(data)
                        if left < 0 and self._left:
                            self._left -= 1
                            self.cuts += 1
                            for each in (caller, server):  # a reset, not an end
                                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            return
                    key.data.sendall(data)


class Restarted:
    """A server that is stopped or killed now and then, and meanwhile loses rows."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._listen = f"127.0.0.1:{free_port()}"
        self._chance = random.Random(SEED)
        self._daemon = Daemon(data, listen=self._listen)
        self.target = self._daemon.target
        self.deleted: set[int] = set()
        self.restarts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.__exit__()

    def restart(self, seq: int) -> None:
        """Stop or kill it, take out rows before and behind *seq*, and start it again."""
        self._daemon.kill() if self.restarts % 2 else self._daemon.stop()
        gone = {self._chance.randint(max(1, seq - 5000), min(ROWS, seq + 10_000)) for _ in range(50)} - self.deleted
        with closing(sqlite3.connect(self._data / FILE)) as store, store:
            store.executemany("DELETE FROM interaction WHERE seq = ?", [(each,) for each in gone])
        self.deleted |= gone
        self.restarts += 1
        self._daemon = Daemon(self._data, listen=self._listen)

    def among(self, found: Iterator[int]) -> Iterator[int]:
        """Yield what is *found*, restarting evenly on the way."""
        for seq in found:
            yield seq
            if seq > ROWS * (self.restarts + 1) // (RESTARTS + 1):
                self.restart(seq)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Restarted]:
    """A server with ROWS interactions, of which the nth has the seq n."""
    data = tmp_path / "data"
    data.mkdir()
    with Child("raw", str(data / FILE), "1000") as raw:
        raw.ask(f"0 {ROWS}")
    with Restarted(data) as made:
        yield made


def typed(client: Client) -> Iterator[str]:
    """Yield each id of a typed export."""
    return (each.interaction_id for each in client.export_interactions())


def lines(client: Client) -> Iterator[str]:
    """Yield each id of an export as JSON Lines."""
    rest = b""
    for chunk in client.export_table("interactions", format=ExportFormat.JSONL):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield json.loads(line)["interaction_id"]
    assert b"" == rest


@pytest.mark.parametrize("export", [typed, lines], ids=["typed", "jsonl"])
def test_cuts_and_restarts_lose_nothing_and_repeat_nothing(
    server: Restarted, export: Callable[[Client], Iterator[str]]
) -> None:
    """
    Over a line that is cut, from a server that restarts without some rows, all others come once, in order, checked.
    """
    with Client(server.target) as direct:
        seqs = {each.interaction_id: each.seq for each in direct.export_interactions()}
    began = time.monotonic()
    with Line(server.target, cuts=CUTS) as line, Client(line.target, retry=PATIENT) as client:
        found = list(server.among(seqs[each] for each in export(client)))  # which raises when the trailer is not right
    took = time.monotonic() - began
    lost = set(seqs.values()) - server.deleted - set(found)
    print(
        f"{line.cuts} cuts, {server.restarts} restarts, {len(server.deleted)} deleted, {len(found)} came, {took:.0f} s"
    )

    assert (CUTS, RESTARTS) == (line.cuts, server.restarts)
    assert (0, sorted(set(found))) == (len(lost), found)


def csv_file(stub: DataManagementServiceStub) -> Iterator[export_pb2.ExportTableResponse]:
    return stub.ExportTable(export_pb2.ExportTableRequest(table="interactions"))


def columns(stub: DataManagementServiceStub) -> Iterator[export_pb2.ExportInteractionsResponse]:
    layout = export_pb2.EXPORT_LAYOUT_COLUMNS
    return stub.ExportInteractions(export_pb2.ExportInteractionsRequest(layout=layout))


def test_stalled_readers_do_not_hold_the_log(tmp_path: Path) -> None:
    """
    While two readers stall under 500 writes a second the log stays under 64 MiB; then they read on to the trailer.
    """
    with Child("raw", str(tmp_path / FILE), "1000") as raw:
        raw.ask(f"0 {STALLED}")
    largest = 0
    with (
        Daemon(tmp_path) as daemon,
        Client(daemon.target) as client,
        grpc.insecure_channel(daemon.target) as channel,
        ThreadPoolExecutor(16) as pool,
    ):
        stub = DataManagementServiceStub(channel)
        readers: list[Iterator[Any]] = [csv_file(stub), columns(stub)]
        for reader in readers:
            next(reader)
        began = time.monotonic()
        for tick in range(int(STALL * TICKS)):
            list(pool.map(client.record_interaction, [interaction() for _ in range(WRITES // TICKS)]))
            largest = max(largest, (tmp_path / f"{FILE}-wal").stat().st_size)
            time.sleep(max(0.0, began + (tick + 1) / TICKS - time.monotonic()))  # the pace, not a wait for something
        took = time.monotonic() - began
        rows = [list(reader)[-1].trailer.rows for reader in readers]
    print(f"{STALL * WRITES / took:.0f} writes/s over {took:.0f} s: the log had {largest / 2**20:.1f} MiB at most")

    assert [STALLED, STALLED] == rows
    assert MOST_LOG >= largest
