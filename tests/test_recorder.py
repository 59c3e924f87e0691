"""
The recorder: records without being in the way, loses nothing, and tells the truth.
"""

import _thread
import asyncio
import csv
import errno
import io
import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest

from steward import (
    AsyncRecorder,
    Block,
    Client,
    DeadlineExceeded,
    FlushReport,
    Interaction,
    InteractionFields,
    InvalidArgument,
    Recorder,
    RejectedRecord,
    ResourceExhausted,
    Retry,
    codec,
    ids,
)
from steward.recording import sender
from steward.recording.batches import Life, Record
from steward.recording.commands import Room
from steward.recording.segment import Segment
from steward.recording.spool import Spool, of_target
from steward.v1 import interaction_pb2
from steward.v1.ingest_pb2 import Outcome, Receipt, RecordInteractionsRequest, RecordInteractionsResponse, Rejection
from stewardd.app import App
from stewardd.testing import Daemon, running_server, wait
from tests.samples import interaction

GONE = "127.0.0.1:1"  # nothing listens there
EAGER = Retry(max_delay=0.1)


@pytest.fixture
def recorder(server: App, tmp_path: Path) -> Iterator[Recorder]:
    """A recorder at the server, with a spool of its own."""
    with Recorder(server.target, spool=tmp_path / "spool") as opened:
        yield opened


def stored(client: Client) -> list[str]:
    """Return the ids of all that is stored, sorted."""
    return sorted(each.interaction_id for each in client.list_interactions())


def files(spool: Path) -> list[Path]:
    """Return the files in *spool*."""
    return sorted(each for each in spool.rglob("*") if each.is_file())


@contextmanager
def stalled() -> Iterator[str]:
    """Something that accepts connections and never answers; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# Recording


def test_what_is_recorded_is_stored(recorder: Recorder, client: Client) -> None:
    """
    After a flush that acknowledges them, interactions given as values and as fields are stored under their ids.
    """
    first = recorder.record(interaction())
    second = recorder.record(session_id="s", user_role="Dev", query="How?", success=True)

    report = recorder.flush()

    assert FlushReport(acknowledged=2, pending=0, spooled=0, rejected=(), dropped=0) == report
    assert sorted([first, second]) == stored(client)


def test_the_fields_are_those_of_an_interaction() -> None:
    """
    What record takes by name is what an interaction has.
    """
    assert {each.name for each in fields(Interaction)} == InteractionFields.__annotations__.keys()


@pytest.mark.parametrize(
    "wrong", [{}, {"session_id": "s"}, {"session_id": "s", "user_role": "r", "query": "q", "x": 1}]
)
def test_fields_that_make_no_interaction_are_refused_at_once(recorder: Recorder, wrong: dict[str, str]) -> None:
    """
    A field too few or too many is a TypeError, as for an interaction.
    """
    with pytest.raises(TypeError):
        recorder.record(**wrong)  # type: ignore[call-overload]


def test_what_is_no_interaction_is_refused_at_once(recorder: Recorder) -> None:
    """
    Anything else than an interaction is a TypeError that says so.
    """
    with pytest.raises(TypeError, match="takes an Interaction"):
        recorder.record("How?")  # type: ignore[call-overload]


def test_it_occurred_when_it_was_recorded(recorder: Recorder, client: Client) -> None:
    """
    An interaction that does not say when it occurred did so when it was recorded, not when it was sent.
    """
    before = datetime.now(UTC)
    of_now, of_then = recorder.record(interaction(occurred_at=None)), recorder.record(interaction())
    after = datetime.now(UTC)
    recorder.flush()

    assert before - timedelta(microseconds=1) <= client.get_interaction(of_now).occurred_at <= after
    assert interaction().occurred_at == client.get_interaction(of_then).occurred_at


def test_record_now_returns_the_receipt(recorder: Recorder, client: Client) -> None:
    """
    Whoever waits for a receipt gets the server's.
    """
    receipt = recorder.record_now(interaction(query="I am a@b.io"))

    assert {"EMAIL": 1} == dict(receipt.redactions)
    assert receipt.seq == client.get_interaction(receipt.interaction_id).seq


def test_record_now_raises_what_is_wrong(recorder: Recorder) -> None:
    """
    Whoever waits for the receipt of what is refused is told which field breaks which rule.
    """
    with pytest.raises(InvalidArgument) as caught:
        recorder.record_now(interaction(response_time_seconds=math.nan))

    assert ["response_time_seconds"] == [each.field for each in caught.value.violations]


def test_record_now_keeps_what_gets_no_receipt(tmp_path: Path) -> None:
    """
    When no receipt comes in time, that is told, and the interaction is kept.
    """
    with Recorder(GONE, spool=tmp_path) as recorder:
        with pytest.raises(DeadlineExceeded, match="still sent"):
            recorder.record_now(interaction(), timeout=0.3)

        assert 1 == recorder.flush(timeout=0).spooled


def test_who_waits_no_more_is_forgotten(tmp_path: Path) -> None:
    """
    However many waited in vain while the server is away, nothing is kept for them.
    """
    with Recorder(GONE, spool=tmp_path) as recorder:
        for _ in range(20):
            with pytest.raises(DeadlineExceeded):
                recorder.record_now(interaction(), timeout=0.01)
        spooled = recorder.flush(timeout=0.5).spooled
        kept = recorder._core._sender._claims._waiting  # noqa: SLF001 -- nothing else tells

    assert (20, {}) == (spooled, kept)


def test_a_batch_goes_out_by_age(recorder: Recorder, client: Client) -> None:
    """
    A few records are sent soon without being asked for.
    """
    one = recorder.record(interaction())

    while not stored(client):
        time.sleep(0.02)

    assert [one] == stored(client)


def test_many_threads_record_at_once(recorder: Recorder, client: Client) -> None:
    """
    What several threads record at the same time is stored once each.
    """
    made: list[str] = []

    def work() -> None:
        made.extend(recorder.record(interaction()) for _ in range(500))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    report = recorder.flush(timeout=30)

    assert (4000, 0) == (report.acknowledged, report.pending)
    assert sorted(made) == stored(client)


# What is refused


def test_what_the_server_refuses_is_told_once_and_kept_apart(server: App, tmp_path: Path) -> None:
    """
    A refused record is in the report and in the rejected part of the spool, told once, and keeps no other out.
    """
    told: list[RejectedRecord] = []
    with Recorder(server.target, spool=tmp_path, on_rejected=told.append) as recorder:
        recorder.record(interaction())
        bad = recorder.record(interaction(user_rating=7.0))
        report = recorder.flush()

    assert (1, [bad]) == (report.acknowledged, [each.interaction_id for each in report.rejected])
    assert report.rejected == tuple(told)
    assert "user_rating: " in told[0].reason
    (kept,) = files(tmp_path)
    assert "rejected" == kept.parent.name
    assert 1 == kept.read_text(encoding="utf-8").count(bad)


def test_what_another_left_and_is_refused_is_told_but_not_reported(tmp_path: Path) -> None:
    """
    The report is of what the recorder itself was handed; a refused record of another's goes to the callback.
    """
    told: list[RejectedRecord] = []
    port = free_port()
    with Recorder(f"127.0.0.1:{port}", spool=tmp_path / "spool") as first:
        bad = first.record(interaction(user_rating=7.0))
        first.close()

    with (
        Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}") as daemon,
        Recorder(daemon.target, spool=tmp_path / "spool", on_rejected=told.append) as second,
    ):
        second.flush()
        while not told:
            time.sleep(0.02)
        second.record(interaction())
        report = second.flush()

    assert [bad] == [each.interaction_id for each in told]
    assert FlushReport(acknowledged=1, pending=0, spooled=0, rejected=(), dropped=0) == report


def test_what_is_refused_under_one_id_is_all_told(server: App, tmp_path: Path) -> None:
    """
    Of refused records the ids need not differ: each is told, and kept with its question.
    """
    told: list[RejectedRecord] = []
    for query in ("one", "other"):
        with Recorder(GONE, spool=tmp_path) as first:
            first.record(interaction(query=query, interaction_id="conversation"))
    of_target(tmp_path, GONE).rename(of_target(tmp_path, server.target))
    with Recorder(server.target, spool=tmp_path, on_rejected=told.append) as recorder:
        recorder.flush()
        while len(told) < 2:
            time.sleep(0.01)

    lines = [json.loads(line) for each in files(tmp_path) for line in each.read_text("utf-8").splitlines()]
    assert ["conversation"] * 2 == [each.interaction_id for each in told]
    assert ["one", "other"] == sorted(each["interaction"]["query"] for each in lines)


def test_what_no_message_can_hold_is_rejected(recorder: Recorder) -> None:
    """
    A record that cannot even be sent is refused like any, with its field.
    """
    recorder.record(interaction(query="\ud800"))
    recorder.record(interaction(query=5))
    recorder.record(interaction())

    report = recorder.flush()

    assert ["query", "query"] == [each.reason.partition(":")[0] for each in report.rejected]
    assert 1 == report.acknowledged


class Broken(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """Fail."""
        raise RuntimeError(dt)

    dst = utcoffset

    def tzname(self, dt: datetime | None) -> str:
        """Fail."""
        raise RuntimeError(dt)


ODD: list[dict[str, object]] = [
    {"query": (each for each in "abc")},
    {"query": {("a", "key"): "that JSON has not"}},
    {"query": threading.Lock()},
    {"occurred_at": datetime(2025, 1, 1, tzinfo=Broken())},
    {"session_id": datetime(2025, 1, 1, tzinfo=Broken())},
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_whatever_a_record_is_made_of_its_neighbours_are_kept(tmp_path: Path, odd: dict[str, object]) -> None:
    """
    What cannot even be copied or printed is refused alone, by its id, and kept as far as it can be.
    """
    with Recorder(GONE, spool=tmp_path, max_age=60) as recorder:
        fill(recorder, 100)
        bad = recorder.record(interaction(**odd))
        fill(recorder, 100)
        report = recorder.close()
    (kept,) = (each for each in files(tmp_path) if each.parent.name == "rejected")

    assert (200, 0, [bad]) == (report.spooled, report.pending, [each.interaction_id for each in report.rejected])
    assert bad == json.loads(kept.read_text(encoding="utf-8"))["interaction"]["interaction_id"]


def test_a_fault_of_the_spool_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever the spool raises, what was to go into it is kept, and goes there when it can.
    """
    append = Spool.append

    def failing_once(self: Spool, records: Sequence[Record]) -> bool:
        monkeypatch.setattr(Spool, "append", append)
        raise MemoryError(self, len(records))

    monkeypatch.setattr(Spool, "append", failing_once)
    with Recorder(GONE, spool=tmp_path, queue_records=500) as recorder:
        fill(recorder, 2000)
        report = recorder.close()

    assert (2000, 0, 0) == (report.spooled, report.pending, report.dropped)


def test_where_no_call_can_be_made_all_is_spooled(
    recorder: Recorder, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A process that gets no more threads, as at its end, has its records on disk; they are sent when it gets some.
    """

    def refuse(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    fill(recorder, 100)
    without = recorder.flush(1)
    said = recorder.counters().last_error
    monkeypatch.undo()
    report = recorder.flush(10)

    assert (100, 0) == (without.spooled, without.pending)
    assert "can't create new thread" in said
    assert (100, 0, 0) == (report.acknowledged, report.pending, report.spooled)
    assert 100 == len(stored(client))


def test_a_record_that_is_too_large_for_a_call_is_refused_alone(recorder: Recorder) -> None:
    """
    A batch that is refused as a whole is split until what is wrong stands alone.
    """
    for size in (10, 9_000_000, 10, 10):
        recorder.record(interaction(query="x" * size))

    report = recorder.flush(timeout=20)

    assert (3, 1) == (report.acknowledged, len(report.rejected))


@contextmanager
def answering(answer: Callable[[int, grpc.ServicerContext], RecordInteractionsResponse]) -> Iterator[str]:
    """Something that answers each request, of so many records, as *answer* does; its address."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: answer(len(request.interactions), context),
                request_deserializer=RecordInteractionsRequest.FromString,
                response_serializer=RecordInteractionsResponse.SerializeToString,
            )

    with ThreadPoolExecutor(1) as workers:
        answerer = grpc.server(workers, handlers=[Handler()])
        port = answerer.add_insecure_port("127.0.0.1:0")
        answerer.start()
        yield f"127.0.0.1:{port}"
        answerer.stop(0).wait()


def exhausted(_: int, context: grpc.ServicerContext) -> RecordInteractionsResponse:
    """Refuse, as a proxy does that limits rates."""
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")


def silent(count: int, _: grpc.ServicerContext) -> RecordInteractionsResponse:
    """Answer for each record, and say nothing of it."""
    return RecordInteractionsResponse(outcomes=[Outcome()] * count)


@pytest.mark.parametrize("answer", [exhausted, silent])
def test_what_is_neither_stored_nor_refused_is_kept(
    tmp_path: Path, answer: Callable[[int, grpc.ServicerContext], RecordInteractionsResponse]
) -> None:
    """
    Where a server, or what stands before it, has no room, or does not say what became of a record, it is sent again.
    """
    with answering(answer) as address, Recorder(address, spool=tmp_path) as recorder:
        fill(recorder, 20)
        report = recorder.flush(0.5)
        said = recorder.counters().last_error

    assert (20, 0, 0) == (report.spooled, report.acknowledged, len(report.rejected))
    assert said


def test_what_is_refused_without_a_reason_is_refused(tmp_path: Path) -> None:
    """
    A rejection that names no field is one all the same.
    """
    answer = Outcome(rejection=Rejection())
    with (
        answering(lambda count, _: RecordInteractionsResponse(outcomes=[answer] * count)) as address,
        Recorder(address, spool=tmp_path) as recorder,
    ):
        fill(recorder, 2)
        report = recorder.flush()

    assert ["the server refused it, and did not say why"] * 2 == [each.reason for each in report.rejected]


@contextmanager
def failing(data: Path, port: int) -> Iterator[Daemon]:
    """A server on *data* that fails at what asks "poison?", as if by a fault of its own."""
    with Daemon(data, listen=f"127.0.0.1:{port}") as daemon:
        with closing(sqlite3.connect(data / "steward.db")) as database, database:
            database.execute(
                "CREATE TRIGGER IF NOT EXISTS broken BEFORE INSERT ON interaction WHEN NEW.query = 'poison?' "
                "BEGIN SELECT RAISE(ABORT, 'broken'); END"
            )
        yield daemon


def test_what_the_server_fails_at_keeps_no_other_out(tmp_path: Path) -> None:
    """
    A record at which the server fails, whatever comes with it, is refused in the end; all others are stored, those
    behind it too, and none of them twice.
    """
    spool, port = tmp_path / "spool", free_port()
    with Recorder(f"127.0.0.1:{port}", spool=spool, retry=EAGER) as recorder:
        good = {recorder.record(interaction()) for _ in range(700)}
        bad = recorder.record(interaction(query="poison?"))
        good |= {recorder.record(interaction()) for _ in range(800)}
        recorder.flush(0.1)
        with failing(tmp_path / "data", port) as daemon, Client(daemon.target) as client:
            while recorder.counters().rejected == 0:
                good.add(recorder.record(interaction()))
                recorder.flush(0.1)
            report = recorder.flush()
            found = stored(client)

    assert (len(good), 0, 0, 0) == (report.acknowledged, report.pending, report.spooled, report.dropped)
    assert [RejectedRecord(bad, "the server failed at it again and again: internal error")] == list(report.rejected)
    assert sorted(good) == sorted(found)


def test_without_a_spool_too(tmp_path: Path) -> None:
    """
    Where there is no spool, the record waits in memory until it is refused.
    """
    with (
        failing(tmp_path, free_port()) as daemon,
        Client(daemon.target) as client,
        Recorder(daemon.target, spool=False, retry=EAGER) as recorder,
    ):
        bad = recorder.record(interaction(query="poison?"))
        good = {recorder.record(interaction()) for _ in range(9)}
        while recorder.counters().rejected == 0:
            good.add(recorder.record(interaction()))
            recorder.flush(0.1)
        report = recorder.flush()
        found = stored(client)

    assert [bad] == [each.interaction_id for each in report.rejected]
    assert (len(good), 0) == (report.acknowledged, report.pending)
    assert sorted(good) == sorted(found)


def test_a_server_that_fails_at_all_is_waited_for(tmp_path: Path) -> None:
    """
    Where the server fails at whatever comes, nothing is refused, and all is stored when it has been mended.
    """
    port = free_port()
    with Recorder(f"127.0.0.1:{port}", spool=tmp_path / "spool", retry=EAGER) as recorder:
        with failing(tmp_path / "data", port):
            made = {recorder.record(interaction(query="poison?")) for _ in range(3000)}
            while recorder.counters().failures < 50:
                recorder.flush(0.1)
            meanwhile = recorder.counters()
        with closing(sqlite3.connect(tmp_path / "data" / "steward.db")) as database, database:
            database.execute("DROP TRIGGER broken")
        with Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}") as daemon, Client(daemon.target) as client:
            report = recorder.flush(30)
            found = stored(client)

    assert (0, 0, "Internal: internal error") == (meanwhile.rejected, meanwhile.acknowledged, meanwhile.last_error)
    assert (3000, 0, 0) == (report.acknowledged, report.pending, report.spooled)
    assert sorted(made) == sorted(found)


def test_a_close_does_not_wait_for_what_the_server_fails_at(tmp_path: Path) -> None:
    """
    What is left then is in the spool, with nothing else.
    """
    with (
        failing(tmp_path / "data", free_port()) as daemon,
        Recorder(daemon.target, spool=tmp_path / "spool", retry=EAGER) as recorder,
    ):
        for query in ("Why?", "poison?", "How?"):
            recorder.record(interaction(query=query))
        while recorder.counters().acknowledged < 2:
            recorder.flush(0.1)
        began = time.monotonic()
        report = recorder.close(30)
        took = time.monotonic() - began

    assert (2, 1, 0) == (report.acknowledged, report.spooled, report.pending)
    assert took < 15


@pytest.mark.parametrize("fault", [OSError, SystemExit])
def test_a_callback_that_fails_stops_nothing(
    server: App, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: type[BaseException]
) -> None:
    """
    When what is to be told of a rejected record raises, whatever it is, the others are sent all the same.
    """

    def broken(_: RejectedRecord) -> None:
        raise fault

    with Recorder(server.target, spool=tmp_path, on_rejected=broken) as recorder:
        recorder.record(interaction(user_rating=7.0))
        recorder.flush()
        recorder.record(interaction())
        report = recorder.flush()

    assert (1, 1) == (report.acknowledged, len(report.rejected))
    assert "rejected record failed" in caplog.text


# The server is away


@pytest.mark.parametrize("count", [1, 5000])
def test_what_cannot_be_sent_is_spooled_and_replayed(tmp_path: Path, count: int) -> None:
    """
    What is recorded while the server is away is on disk when the recorder closes, and stored once by the next one.
    """
    port = free_port()
    with Recorder(f"127.0.0.1:{port}", spool=tmp_path / "spool") as first:
        made = [first.record(interaction()) for _ in range(count)]
        report = first.close()

    with (
        Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}") as daemon,
        Client(daemon.target) as client,
        Recorder(daemon.target, spool=tmp_path / "spool") as second,
    ):
        second.flush()
        while second.counters().replayed < count:
            time.sleep(0.02)
        assert sorted(made) == stored(client)

    assert FlushReport(acknowledged=0, pending=0, spooled=count, rejected=(), dropped=0) == report
    assert [] == files(tmp_path / "spool")


def test_the_same_recorder_goes_on_when_the_server_is_back(tmp_path: Path) -> None:
    """
    A recorder that met no server sends what it spooled when there is one, with nothing lost and nothing twice.
    """
    port = free_port()
    with Recorder(f"127.0.0.1:{port}", spool=tmp_path / "spool") as recorder:
        early = recorder.record(interaction())
        away = recorder.flush(timeout=0.5)
        error = recorder.counters().last_error
        with Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}") as daemon, Client(daemon.target) as client:
            late = recorder.record(interaction())
            back = recorder.flush(timeout=20)
            assert sorted([early, late]) == stored(client)

    assert (1, 0) == (away.spooled, away.acknowledged)
    assert "Unavailable" in error
    assert (2, 0, 0) == (back.acknowledged, back.spooled, back.pending)
    assert [] == files(tmp_path / "spool")


def test_each_record_is_not_a_write_while_the_server_is_away(tmp_path: Path) -> None:
    """
    While the server is away a record waits for company as it does otherwise, and they go to the disk together.
    """
    with Recorder(GONE, spool=tmp_path, max_age=3600) as recorder:
        recorder.record(interaction())
        recorder.flush(timeout=0.5)
        recorder.record(interaction())
        woken = recorder._core.intake.ask(lambda reply: Room(reply, patient=True), 10)  # noqa: SLF001 -- and worked
        alone = recorder.counters()
        together = recorder.flush(timeout=0.5)

    assert woken
    assert (1, 1) == (alone.spooled, alone.pending)
    assert (2, 0) == (together.spooled, together.pending)


def test_without_a_spool_what_is_left_at_the_end_is_told_as_lost() -> None:
    """
    Where nothing may be written, a recorder says how many it could not deliver.
    """
    recorder = Recorder(GONE, spool=False)
    recorder.record(interaction())
    report = recorder.close(timeout=0.5)

    assert (1, {"CLOSED": 1}) == (report.dropped, dict(recorder.counters().dropped))


def test_a_stalled_server_is_in_nobodys_way(tmp_path: Path) -> None:
    """
    A server that accepts and never answers slows neither record nor close, and all is in the spool.
    """
    with stalled() as address:
        recorder = Recorder(address, spool=tmp_path)
        took = []
        for _ in range(5000):
            started = time.perf_counter()
            recorder.record(interaction())
            took.append(time.perf_counter() - started)
        started = time.monotonic()
        report = recorder.close(5)

    assert sorted(took)[len(took) // 2] < 0.001
    assert time.monotonic() - started < 5.5
    assert (5000, 0, 0) == (report.spooled, report.pending, report.dropped)


def test_a_stalled_server_costs_no_time_of_the_processor(tmp_path: Path) -> None:
    """
    While an answer is waited for, after earlier ones that did not come, the thread sleeps.
    """
    with stalled() as target, Recorder(target, spool=tmp_path, timeout=0.5) as recorder:
        recorder.record(interaction())
        while recorder.counters().failures < 1:
            time.sleep(0.01)
        used, began = time.process_time(), time.monotonic()
        while recorder.counters().failures < 3:
            time.sleep(0.01)
        share = (time.process_time() - used) / (time.monotonic() - began)

    assert share < 0.3


def test_what_a_stalled_server_got_is_stored_once(tmp_path: Path) -> None:
    """
    What was spooled since no answer came, and is answered after all, counts as acknowledged and is not sent again.
    """
    with Daemon(tmp_path / "data") as daemon, Client(daemon.target) as client:
        with Recorder(daemon.target, spool=tmp_path / "spool") as recorder:
            recorder.record_now(interaction())
            daemon.process.send_signal(signal.SIGSTOP)
            for _ in range(10):
                recorder.record(interaction())
            while recorder.counters().spooled < 10:
                time.sleep(0.02)
            daemon.process.send_signal(signal.SIGCONT)
            report = recorder.flush(timeout=20)
        assert 11 == len(stored(client))

    assert (11, 0, 0, 0) == (report.acknowledged, report.spooled, report.pending, report.dropped)
    assert [] == files(tmp_path / "spool")


# The queue is full


def fill(recorder: Recorder, count: int) -> int:
    """Record *count* into a queue that is too small; return how many it refused."""
    refused = 0
    for _ in range(count):
        try:
            recorder.record(interaction())
        except ResourceExhausted:
            refused += 1
    return refused


def test_a_full_queue_goes_into_the_spool(tmp_path: Path) -> None:
    """
    By default nothing is lost when more comes in than the queue holds.
    """
    with stalled() as address:
        recorder = Recorder(address, spool=tmp_path, queue_records=10)
        fill(recorder, 200)
        report = recorder.close()

    assert (200, 0) == (report.spooled, report.dropped)


def test_a_full_queue_is_counted_by_drop() -> None:
    """
    Where it is told to drop, each record that is dropped is counted, with the reason.
    """
    recorder = Recorder(GONE, spool=False, overflow="drop", queue_records=10)
    fill(recorder, 100)
    known = recorder.counters()
    recorder.close(timeout=0.3)

    assert known.dropped["QUEUE_FULL"] > 0
    assert 100 == known.recorded
    assert 100 == sum(recorder.counters().dropped.values())


def test_a_full_queue_raises_where_told_to() -> None:
    """
    Where it is told to raise, a record that has no room is refused at once.
    """
    recorder = Recorder(GONE, spool=False, overflow="raise", queue_records=10)
    refused = fill(recorder, 100)
    report = recorder.close(timeout=0.3)

    assert refused > 0
    assert 100 == refused + report.dropped


def test_a_full_queue_blocks_as_long_as_told_to() -> None:
    """
    Where it is told to block, a record waits so long for room, and then is refused.
    """
    recorder = Recorder(GONE, spool=False, overflow=Block(0.3), queue_records=1, max_age=10)
    recorder.record(interaction())
    started = time.monotonic()
    with pytest.raises(ResourceExhausted, match=r"was for 0\.3 s"):
        recorder.record(interaction())
    waited = time.monotonic() - started
    recorder.close(timeout=0.3)

    assert 0.3 <= waited < 1


def test_a_full_queue_blocks_until_there_is_room(server: App, client: Client) -> None:
    """
    Where it is told to block and the server takes them, every record gets in.
    """
    with Recorder(server.target, spool=False, overflow=Block(10), queue_records=10, max_age=0.01) as recorder:
        assert 0 == fill(recorder, 100)
        assert 100 == recorder.flush().acknowledged
    assert 100 == len(stored(client))


def test_the_queue_is_bounded_in_bytes() -> None:
    """
    A few large questions fill the queue as many small ones do.
    """
    recorder = Recorder(GONE, spool=False, overflow="drop", queue_bytes=100_000, max_age=10)
    for _ in range(10):
        recorder.record(interaction(query="x" * 50_000))
    known = recorder.counters()
    recorder.close(timeout=0.1)

    assert {"QUEUE_FULL": 8} == dict(known.dropped)


def test_a_record_within_a_record_is_counted_too() -> None:
    """
    What another thread, or a signal handler, records in the middle of a record counts among the bytes of the queue.
    """
    recorder = Recorder(GONE, spool=False, max_age=60)

    class Interrupted(str):
        __slots__ = ()

        def __sizeof__(self) -> int:
            if not recorder.counters().recorded:
                recorder.record(interaction(query="x" * 50_000))
            return super().__sizeof__()

    recorder.record(interaction(query=Interrupted("How?")))
    size = recorder._core.intake.size  # noqa: SLF001 -- nothing else tells
    recorder.close(timeout=0)

    assert 50_000 < size < 60_000


def test_a_full_spool_is_told(tmp_path: Path) -> None:
    """
    When neither the queue nor the spool has room, what is dropped is counted, with the reason.
    """
    recorder = Recorder(GONE, spool=tmp_path, spool_bytes=10_000, queue_records=10)
    fill(recorder, 300)
    known = recorder.counters()
    report = recorder.close(timeout=1)

    assert "is full" in known.spool_error
    assert known.dropped["SPOOL_FULL"] > 0
    assert 300 == report.spooled + report.dropped
    assert sum(each.stat().st_size for each in files(tmp_path)) <= 10_000


def test_a_spool_that_cannot_be_read_is_in_nobodys_way(
    server: App, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    When the spool's directory is none any more, that is told, and what is recorded is sent as before.
    """
    monkeypatch.setattr(sender, "LOOK", 0.01)
    with Recorder(server.target, spool=tmp_path) as recorder:
        recorder.record_now(interaction())
        of_target(tmp_path, server.target).write_text("no directory", encoding="utf-8")
        while not recorder.counters().spool_error:
            time.sleep(0.01)
        recorder.record(interaction())
        report = recorder.flush()

    assert (2, 2) == (report.acknowledged, len(stored(client)))
    assert "Not a directory" in recorder.counters().spool_error


def test_what_others_left_waits_for_the_first_record_or_flush(server: App, client: Client, tmp_path: Path) -> None:
    """
    A recorder that was only opened starts nothing, whatever is in the spool; the first flush or record has it sent.
    """
    for way in (Recorder.flush, lambda recorder: recorder.record(interaction())):
        with Recorder(GONE, spool=tmp_path) as first:
            first.record(interaction())
        of_target(tmp_path, GONE).rename(of_target(tmp_path, server.target))
        threads = threading.active_count()
        with Recorder(server.target, spool=tmp_path) as second:
            assert threads == threading.active_count()
            way(second)
            while second.counters().replayed < 1:
                time.sleep(0.01)
        of_target(tmp_path, server.target).rmdir()

    assert 3 == len(stored(client))


def test_what_cannot_be_read_again_is_waited_for_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What a recorder has in the spool and does not get back from the disk is told as spooled, and no flush waits for it.
    """

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    port = free_port()
    with Recorder(f"127.0.0.1:{port}", spool=tmp_path / "spool", retry=EAGER) as recorder:
        recorder.record(interaction())
        recorder.flush(timeout=0.5)
        with monkeypatch.context() as patched, Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}"):
            patched.setattr(Segment, "read", fail)
            while recorder.counters().acknowledged < 1 or not recorder.counters().spool_error:
                recorder.record(interaction())  # which goes into the spool too until the recorder knows of the server
                recorder.flush(0.1)
            recorded, began = recorder.counters().recorded, time.monotonic()
            flushed, closed = recorder.flush(60), recorder.close(60)
            took = time.monotonic() - began

    assert flushed == closed
    assert (recorded, 0, 0) == (flushed.acknowledged + flushed.spooled, flushed.pending, flushed.dropped)
    assert flushed.spooled >= 1
    assert took < 30


def test_a_spool_that_cannot_be_read_does_not_keep_a_recorder_from_opening(server: App, tmp_path: Path) -> None:
    """
    Where the spool's directory is none, the recorder opens and sends all the same, and tells that.
    """
    of_target(tmp_path, server.target).write_text("no directory", encoding="utf-8")
    with Recorder(server.target, spool=tmp_path) as recorder:
        assert 0 == recorder.flush().acknowledged
        recorder.record(interaction())
        report = recorder.flush()

    assert (1, 0) == (report.acknowledged, report.dropped)
    assert "Not a directory" in recorder.counters().spool_error


def test_where_no_file_can_be_locked_there_is_no_spool(tmp_path: Path) -> None:
    """
    On Windows what is met while the server is away waits in memory, and the counters tell that there is no spool.
    """
    script = """
import sys
sys.modules["fcntl"] = None  # as there
from steward import Recorder
recorder = Recorder("127.0.0.1:1", spool=sys.argv[1], queue_records=5)
for _ in range(5): recorder.record(session_id="s", user_role="Dev", query="How?")
report = recorder.flush(0.5)
print(report.pending, report.spooled, recorder.counters().spool_error)
print(recorder.close(0.5).dropped)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)

    assert ["5 0 there is no spool: this system locks no files", "5"] == done.stdout.splitlines()
    assert "" == done.stderr


# The end


def test_close_twice_is_safe_and_ends_recording(recorder: Recorder) -> None:
    """
    The second close returns the same; a record after it is refused, and a flush tells what was.
    """
    recorder.record(interaction())
    first = recorder.close()

    assert first == recorder.close()
    assert first == recorder.flush()
    with pytest.raises(RuntimeError, match="closed"):
        recorder.record(interaction())


def test_what_is_recorded_meanwhile_keeps_no_handler_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A handler of SIGTERM is called once what was recorded before is in the spool, however much comes meanwhile.
    """
    append, opened = Spool.append, Recorder(GONE, spool=tmp_path, max_age=60)

    def busy(self: Spool, records: Sequence[Record]) -> bool:
        opened.record(interaction())
        return append(self, records)

    fill(opened, 10)
    monkeypatch.setattr(Spool, "append", busy)
    began = time.monotonic()
    opened._core.save(began + 5)  # noqa: SLF001 -- as the handler has it
    took = time.monotonic() - began
    spooled = opened.counters().spooled
    monkeypatch.undo()
    opened.close()

    assert took < 3
    assert spooled >= 10


def test_for_ever_is_a_time_to_wait(server: App, client: Client, tmp_path: Path) -> None:
    """
    Whoever has all the time there is may say so, wherever something may be waited for.
    """
    ever = math.inf
    with Recorder(server.target, spool=tmp_path, overflow=Block(ever), queue_records=1, timeout=ever) as recorder:
        fill(recorder, 3)
        receipt = recorder.record_now(interaction(), timeout=ever)
        flushed, closed = recorder.flush(ever), recorder.close(ever)
    with Recorder(server.target, spool=tmp_path, max_age=ever) as recorder:
        recorder.record(interaction())

    assert (4, flushed) == (flushed.acknowledged, closed)
    assert receipt.interaction_id in stored(client)
    assert 5 == len(stored(client))


def test_no_number_is_no_time_to_wait(recorder: Recorder) -> None:
    """
    What is asked for with a timeout that is no number is not done; less than nothing is nothing.
    """
    for waits in (recorder.flush, recorder.close, lambda timeout: recorder.record_now(interaction(), timeout=timeout)):
        with pytest.raises(ValueError, match="timeout"):
            waits(math.nan)
    recorder.record(interaction())
    recorder.flush(-1)

    assert 1 == recorder.flush().acknowledged


def test_what_was_never_used_has_no_thread(server: App, tmp_path: Path) -> None:
    """
    A recorder that records nothing starts nothing.
    """
    before = threading.active_count()
    with Recorder(server.target, spool=tmp_path) as recorder:
        assert before == threading.active_count()
        report = recorder.flush()

    assert FlushReport(acknowledged=0, pending=0, spooled=0, rejected=(), dropped=0) == report


def test_a_flush_beside_a_close_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever asks while the recorder ends is answered when it has ended.
    """
    close, ending, asked = Spool.close, threading.Event(), threading.Event()

    def slow(self: Spool, *, settled: bool) -> None:
        ending.set()
        asked.wait(10)
        close(self, settled=settled)

    monkeypatch.setattr(Spool, "close", slow)
    recorder = Recorder(GONE, spool=tmp_path, max_age=60)
    recorder.record(interaction())
    with ThreadPoolExecutor(2) as both:
        closing = both.submit(recorder.close)
        ending.wait()
        began = time.monotonic()
        flushing = both.submit(recorder.flush, 30)
        while recorder._core.intake.commands.empty():  # noqa: SLF001 -- it asks in the middle
            time.sleep(0.01)
        asked.set()
        reports = flushing.result(), closing.result()
        took = time.monotonic() - began

    assert [FlushReport(acknowledged=0, pending=0, spooled=1, rejected=(), dropped=0)] * 2 == list(reports)
    assert took < 10


def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have recorders get no thread, as where there are too many."""
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name == "steward-recorder":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_without_a_thread_what_is_recorded_waits_for_one(
    recorder: Recorder, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where no thread is to be had, a record is kept in memory, and sent when there is one.
    """
    refuse_threads(monkeypatch)
    first, meanwhile = recorder.record(interaction()), recorder.flush()
    monkeypatch.undo()
    second, report = recorder.record(interaction()), recorder.flush()

    assert (1, 2, 0) == (meanwhile.pending, report.acknowledged, report.pending)
    assert sorted([first, second]) == stored(client)


def test_without_a_thread_a_flush_gets_one(recorder: Recorder, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Once one is to be had again, whoever asks next has what waits sent.
    """
    refuse_threads(monkeypatch)
    recorded = recorder.record(interaction())
    monkeypatch.undo()
    report = recorder.flush()

    assert (1, [recorded]) == (report.acknowledged, stored(client))


def test_without_a_thread_one_close_does_its_work_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Several at once leave on disk what they say they did, and wait for nothing that cannot come.
    """
    refuse_threads(monkeypatch)
    recorder = Recorder(GONE, spool=tmp_path)
    for _ in range(20_000):
        recorder.record(interaction())
    both = threading.Barrier(2)

    def close() -> FlushReport:
        both.wait()
        return recorder.close(60)

    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        reports = [each.result() for each in [pool.submit(close) for _ in range(2)]]
    took = time.monotonic() - began
    found = [Segment.adopt(each) for each in files(tmp_path)]
    numbers = [number for each in found if each for number, _ in each.read(20_000, 1 << 30)[0]]
    for each in found:
        if each:
            each.release()

    assert [FlushReport(acknowledged=0, pending=0, spooled=20_000, rejected=(), dropped=0)] * 2 == reports
    assert list(range(1, 20_001)) == sorted(numbers)
    assert took < 40


def test_without_a_thread_and_a_spool_a_close_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What it has is lost whatever it waits for.
    """
    refuse_threads(monkeypatch)
    recorder = Recorder(GONE, spool=False)
    recorder.record(interaction())
    began = time.monotonic()
    report = recorder.close(60)

    assert 1 == report.dropped
    assert time.monotonic() - began < 30


def test_without_a_thread_a_close_does_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where no thread is to be had until the end, what was recorded is in the spool then.
    """
    refuse_threads(monkeypatch)
    with Recorder(GONE, spool=tmp_path) as recorder:
        recorder.record(interaction())
        report = recorder.close()

    assert (1, 0, report) == (report.spooled, report.pending, recorder.close())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_records": 1001}, "batch_records"),
        ({"batch_bytes": 0}, "batch_bytes"),
        ({"max_age": 0}, "max_age"),
        ({"queue_records": 0}, "queue_records"),
        ({"spool": False, "overflow": "spool"}, "needs a spool"),
        ({"overflow": "wait"}, "Block"),
        ({"overflow": Block(math.nan)}, "overflow"),
        ({"overflow": Block(-1)}, "overflow"),
        ({"max_age": math.nan}, "max_age"),
        ({"timeout": math.nan}, "timeout"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 129}, "name"),
    ],
)
def test_what_cannot_be_is_refused_at_the_opening(wrong: dict[str, object], said: str) -> None:
    """
    A setting that makes no sense is a ValueError that names it.
    """
    with pytest.raises(ValueError, match=said):
        Recorder(**wrong)  # type: ignore[arg-type]


# Numbers


def known(client: Client) -> list[tuple[int, int]]:
    """Return of each recorder how many numbers it issued and how many of them it said will never come."""
    content = b"".join(client.export_table("recorders")).decode()
    return [(int(each["issued"]), int(each["forgone"])) for each in csv.DictReader(io.StringIO(content, newline=""))]


def missing(client: Client) -> list[tuple[int, int]]:
    """Return the gaps that the server sees, of all recorders."""
    content = b"".join(client.export_table("recorder_gaps")).decode()
    return [(int(each["first"]), int(each["last"])) for each in csv.DictReader(io.StringIO(content, newline=""))]


def test_what_came_leaves_no_gap(recorder: Recorder, client: Client) -> None:
    """
    Records are numbered from 1, and those that were refused, here or there, are not missing.
    """
    for query in ("a", "\ud800", "b", ""):
        recorder.record(interaction(query=query))
    recorder.flush()

    assert ([(4, 2)], []) == (known(client), missing(client))


def test_what_was_dropped_is_told_to_the_server(server: App, client: Client) -> None:
    """
    Records that the queue had no room for have numbers too, and never come.
    """
    with Recorder(server.target, spool=False, overflow="drop", queue_records=3, max_age=10) as recorder:
        fill(recorder, 10)
        recorder.flush()
        recorder.record(interaction())
        report = recorder.flush()
        while known(client) != [(11, 7)]:
            time.sleep(0.02)

    assert (4, 7, []) == (report.acknowledged, report.dropped, missing(client))


def test_a_close_tells_what_never_comes(server: App, client: Client, tmp_path: Path) -> None:
    """
    What is refused or dropped just before the end has been told to the server when the recorder is closed.
    """
    with Recorder(server.target, spool=tmp_path, name="refused", max_age=60) as recorder:
        recorder.record_now(interaction())
        for _ in range(2):
            recorder.record(interaction(query="\ud800"))
    with Recorder(server.target, spool=False, overflow="drop", queue_records=3, name="dropped", max_age=60) as recorder:
        fill(recorder, 10)

    assert ([(3, 2), (10, 7)], []) == (known(client), missing(client))
    assert [] == [each for each in files(tmp_path) if each.suffix == ".spool"]


def test_what_a_close_cannot_tell_is_told_by_who_replays(tmp_path: Path) -> None:
    """
    Numbers of what was refused, and of what found no room, in the queue or at the close, are left in the spool.
    """
    port, spool = free_port(), tmp_path / "spool"
    first = Recorder(f"127.0.0.1:{port}", spool=spool, spool_bytes=10_000, queue_records=10, name="first")
    for query in ("a", "\ud800", "b"):
        first.record(interaction(query=query))
    first.flush(timeout=0.5)
    fill(first, 100)
    recorded, report = first.counters().recorded, first.close(timeout=1)
    size = sum(each.stat().st_size for each in files(spool))
    with (
        Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}") as daemon,
        Client(daemon.target) as client,
        Recorder(daemon.target, spool=spool, name="second") as second,
    ):
        second.flush()
        while any(each.suffix == ".spool" for each in files(spool)):
            time.sleep(0.02)
        told, gaps = known(client), missing(client)

    assert 103 == recorded
    assert {"SPOOL_FULL", "CLOSED"} == first.counters().dropped.keys()
    assert ([(103, 1 + report.dropped)], []) == (told, gaps)
    assert size <= 10_000


def test_what_a_close_cannot_tell_again_stays_in_one_file(tmp_path: Path) -> None:
    """
    However often recorders come and go while the server is away, what is left to be told does not grow.
    """
    for _ in range(2):
        with Recorder(GONE, spool=tmp_path) as recorder:
            recorder.record(interaction(query="\ud800"))
    before = files(tmp_path)
    for _ in range(3):
        with Recorder(GONE, spool=tmp_path) as recorder:
            recorder.flush(timeout=0.3)
    both = [each for each in before if each.suffix == ".spool"]

    assert 2 == len(both)
    assert before == files(tmp_path)


def test_what_cannot_be_read_keeps_nothing_behind_it(server: App, client: Client, tmp_path: Path) -> None:
    """
    What is refused of a spool is told and kept apart, even if its time is none, or it is no message at all.
    """
    good, old = interaction(), codec.encode(interaction_pb2.Interaction, interaction())
    old.occurred_at.seconds = -(10**11)
    messages = [old.SerializeToString(), b"\xff", codec.encode(interaction_pb2.Interaction, good).SerializeToString()]
    directory = of_target(tmp_path, server.target)
    directory.mkdir()
    segment = Segment.make(directory, Life(ids.mint(), "before"))
    segment.append(list(enumerate(messages, 1)))
    segment.release()
    told: list[RejectedRecord] = []
    with Recorder(server.target, spool=tmp_path, on_rejected=told.append) as recorder:
        recorder.flush()
        while recorder.counters().replayed < 1:
            time.sleep(0.02)
    (kept,) = files(tmp_path)

    assert [good.interaction_id] == stored(client)
    assert {old.interaction_id, ""} == {each.interaction_id for each in told}
    assert {old.query, "\\xff"} == {json.loads(each)["interaction"]["query"] for each in kept.read_text().splitlines()}


def test_what_is_refused_of_anothers_is_told_under_its_numbers(tmp_path: Path) -> None:
    """
    Whoever sends what another left also tells, at the latest when it closes, which of that never comes.
    """
    port, spool = free_port(), tmp_path / "spool"
    told: list[RejectedRecord] = []
    with Recorder(f"127.0.0.1:{port}", spool=spool, name="first") as first:
        for size in (10, 10, 9_000_000):
            first.record(interaction(query="x" * size))
    with Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}") as daemon, Client(daemon.target) as client:
        with Recorder(daemon.target, spool=spool, name="second", on_rejected=told.append) as second:
            second.flush()
            while not told:
                time.sleep(0.001)
        assert ([(3, 1)], []) == (known(client), missing(client))


def test_a_replay_goes_under_the_numbers_of_before(tmp_path: Path) -> None:
    """
    What one recorder spooled and another sends closes the gaps of the first, and each keeps its own numbers.
    """
    port, spool = free_port(), tmp_path / "spool"
    with Recorder(f"127.0.0.1:{port}", spool=spool, name="first") as first:
        for _ in range(3):
            first.record(interaction())
    with (
        Daemon(tmp_path / "data", listen=f"127.0.0.1:{port}") as daemon,
        Client(daemon.target) as client,
        Recorder(daemon.target, spool=spool, name="second") as second,
    ):
        second.record_now(interaction())
        while second.counters().replayed < 3:
            time.sleep(0.02)
        assert ([(1, 0), (3, 0)], []) == (sorted(known(client)), missing(client))


def test_what_a_kill_took_is_missing(tmp_path: Path) -> None:
    """
    Records that were in memory only when their process was killed are noticed as not come.
    """
    script = """
import os, sys, time
from steward import Recorder
sys.setswitchinterval(5)  # all are in the queue before the first batch goes out
recorder = Recorder(sys.argv[1], spool=sys.argv[2], max_age=60, batch_records=5)
for _ in range(8): recorder.record(session_id="s", user_role="Dev", query="How?")
while recorder.counters().acknowledged < 5: time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    with running_server(tmp_path / "data", missing_seconds=0.0) as server, Client(server.target) as client:
        subprocess.run([sys.executable, "-c", script, server.target, str(tmp_path)], check=False)
        (found,) = (each for each in client.get_system_health().components if each.name == "recorders")

        assert [(8, 0)] == known(client)
    assert {"missing": 3} == {each.name: each.value for each in found.figures if each.name == "missing"}, found


# asyncio


def test_the_async_twin_does_the_same(server: App, client: Client, tmp_path: Path) -> None:
    """
    Under asyncio a record is a plain call, and flush, receipts and close are awaited.
    """

    async def work() -> tuple[str, str, FlushReport]:
        async with AsyncRecorder(server.target, spool=tmp_path) as recorder:
            first = recorder.record(interaction())
            second = await recorder.record_now(session_id="s", user_role="Dev", query="How?")
            with pytest.raises(InvalidArgument):
                await recorder.record_now(interaction(user_rating=9.0))
            return first, second.interaction_id, await recorder.flush()

    first, second, report = wait(work())

    assert (2, 1) == (report.acknowledged, len(report.rejected))
    assert sorted([first, second]) == stored(client)


def test_an_async_close_is_bounded(tmp_path: Path) -> None:
    """
    A close takes no longer than it may, whatever else the threads of the loop are busy with.
    """
    free = threading.Event()

    async def work() -> tuple[FlushReport, bool]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, free.wait, 10)
        opened = AsyncRecorder(GONE, spool=tmp_path)
        opened.record(interaction())
        report, waited = await opened.close(1), busy.done()
        free.set()
        await busy
        return report, waited

    report, waited = wait(work())

    assert (1, 0, False) == (report.spooled, report.pending, waited)


class Closing(asyncio.SelectorEventLoop):
    """A loop that is closed just after it was asked whether it is."""

    asked = False

    def is_closed(self) -> bool:
        """Return whether it was closed before it was asked."""
        return not self.asked and super().is_closed()


def test_nobody_waits_on_a_closed_loop(tmp_path: Path) -> None:
    """
    What was waited for in a loop that has been closed meanwhile is acknowledged like any.
    """
    closed = threading.Event()

    def answer(count: int, _: grpc.ServicerContext) -> RecordInteractionsResponse:
        closed.wait(10)
        return RecordInteractionsResponse(outcomes=[Outcome(receipt=Receipt())] * count)

    async def give_up(opened: AsyncRecorder) -> None:
        with pytest.raises(DeadlineExceeded):
            await opened.record_now(interaction(), timeout=0.05)

    with answering(answer) as address:
        loop, opened = Closing(), AsyncRecorder(address, spool=tmp_path)
        loop.run_until_complete(give_up(opened))
        loop.close()
        loop.asked = True
        closed.set()
        report = wait(opened.close())
        loop.asked = False

    assert (1, 0, 0) == (report.acknowledged, report.pending, report.spooled)


def test_the_async_twin_does_not_block_the_loop() -> None:
    """
    To block would stop the loop, so that is refused.
    """
    with pytest.raises(ValueError, match="event loop"):
        AsyncRecorder(GONE, overflow=Block(1))
