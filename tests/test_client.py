"""
The clients: one surface, deadlines, retries, connections.
"""

import asyncio
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from steward import (
    AsyncClient,
    AsyncInteractionExport,
    Client,
    DeadlineExceeded,
    Error,
    InteractionExport,
    InteractionFilter,
    InvalidArgument,
    ResourceExhausted,
    Retry,
    Unavailable,
)
from steward.status import DETAILS, STATUS, to_status
from steward.transport import DEFAULT_TARGET, REPEATABLE
from steward.types import ImportedInteraction, Receipt
from steward.v1 import ingest_pb2
from stewardd.app import App
from stewardd.testing import wait
from tests.samples import imported, interaction

ROOT = Path(__file__).parent.parent


def surface(kind: type) -> dict[str, str]:
    """Return the public methods of *kind* with their parameters, those of asyncio written as the others."""
    methods = inspect.getmembers(kind, inspect.isfunction)
    return {
        name: str(inspect.signature(method, eval_str=False)).replace("Async", "").replace("aio_", "client_")
        for name, method in methods
        if not name.startswith("_") or name == "__init__"
    }


@pytest.mark.parametrize(("one", "other"), [(AsyncClient, Client), (AsyncInteractionExport, InteractionExport)])
def test_both_clients_have_one_surface(one: type, other: type) -> None:
    """
    Every method of one is a method of the other, with the same parameters and the same docstring.
    """
    assert surface(one) == surface(other)
    for name in surface(other):
        assert getattr(one, name).__doc__ == getattr(other, name).__doc__


def test_the_synchronous_client_is_not_stale() -> None:
    """
    What was generated is what the asynchronous source makes now.
    """
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "protos/hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)

    for source, target in build.CLIENTS.items():
        text = (ROOT / "client/steward" / source).read_text(encoding="utf-8")
        assert build.synchronous(text) == (ROOT / "client/steward" / target).read_text(encoding="utf-8")


def test_the_asynchronous_client_does_it_all(server: App) -> None:
    """
    Each method of AsyncClient works against a real server.
    """

    async def batches() -> AsyncIterator[Sequence[ImportedInteraction]]:
        yield [imported()]

    async def everything() -> dict[str, Any]:
        sent = interaction()
        async with AsyncClient(server.target) as client:
            receipt = await client.record_interaction(sent)
            return {
                "record": receipt.seq,
                "records": [type(each) for each in await client.record_interactions([sent])],
                "rate": (await client.rate_interaction(sent.interaction_id, 4)).user_rating,
                "get": (await client.get_interaction(sent.interaction_id)).seq,
                "list": [each.seq async for each in client.list_interactions(InteractionFilter(), page_size=1)],
                "session": (await client.get_session(session_id=sent.session_id)).session == receipt.session,
                "sessions": [each.session async for each in client.list_sessions()] == [receipt.session],
                "summary": (await client.get_summary(since=sent.occurred_at)).interactions.total,
                "import": (await client.import_interactions(batches())).stored,
                "health": (await client.get_system_health()).status.name,
                "info": len((await client.get_server_info()).rpcs) > 5,
            }

    expected = {
        "record": 1,
        "records": [Receipt],
        "rate": 4.0,
        "get": 1,
        "list": [1],
        "session": True,
        "sessions": True,
        "summary": 1,
        "import": 1,
        "health": "OK",
        "info": True,
    }
    assert expected == wait(everything())


def test_an_error_of_the_asynchronous_client_is_of_the_same_class(server: App) -> None:
    """
    Its errors are those of the synchronous client.
    """

    async def bad() -> None:
        async with AsyncClient(server.target) as client:
            await client.record_interaction(interaction(query=""))

    with pytest.raises(InvalidArgument) as caught:
        wait(bad())

    assert ["interaction.query"] == [each.field for each in caught.value.violations]


class Flaky:
    """Fails so many times as it is told, then answers; or never answers."""

    def __init__(self, *failures: Error, hang: bool = False) -> None:
        self.failures = list(failures)
        self.hang = hang
        self.calls = 0

    async def get_interaction(self, request: Any, context: Any) -> ingest_pb2.GetInteractionResponse:
        self.calls += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.failures:
            error = self.failures.pop(0)
            status = to_status(error, request_id="")
            await context.abort(STATUS[type(error)], error.message, ((DETAILS, status.SerializeToString()),))
        return ingest_pb2.GetInteractionResponse(interaction={"seq": self.calls})  # type: ignore[arg-type]


def called(servicer: Flaky, **options: Any) -> int:
    """Return the seq that a client with *options* gets from *servicer*."""

    async def serve() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            servicer.get_interaction,
            request_deserializer=ingest_pb2.GetInteractionRequest.FromString,
            response_serializer=ingest_pb2.GetInteractionResponse.SerializeToString,
        )
        methods = {"GetInteraction": handler}
        name = "steward.v1.DataManagementService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    async def stop(server: grpc.aio.Server) -> None:
        await server.stop(0)

    server, port = wait(serve())
    try:
        with Client(f"127.0.0.1:{port}", **options) as client:
            return client.get_interaction("any").seq
    finally:
        wait(stop(server))


FAST = Retry(attempts=3, first_delay=0.001)


def test_what_passes_is_tried_again() -> None:
    """
    UNAVAILABLE, and RESOURCE_EXHAUSTED with a time to come back, are tried again for what may be repeated.
    """
    servicer = Flaky(Unavailable("away"), ResourceExhausted("busy", retry_after=0.001))

    assert 3 == called(servicer, retry=FAST)


@pytest.mark.parametrize(
    ("failures", "calls"),
    [
        ([Unavailable("away")] * 9, 3),
        ([ResourceExhausted("too large")], 1),
        ([InvalidArgument("bad")], 1),
        ([Unavailable("restoring", retry_after=60.0)], 1),
    ],
)
def test_what_does_not_pass_is_not_tried_for_ever(failures: list[Error], calls: int) -> None:
    """
    Attempts are bounded; what would fail again, or come back after the deadline, is raised at once.
    """
    servicer = Flaky(*failures)

    with pytest.raises(type(failures[0])):
        called(servicer, retry=FAST, timeout=5.0)

    assert calls == servicer.calls


def test_a_call_ends_at_its_deadline() -> None:
    """
    A server that never answers costs the timeout and no more.
    """
    with pytest.raises(DeadlineExceeded):
        called(Flaky(hang=True), timeout=0.2)


def test_a_server_that_is_away_is_unavailable() -> None:
    """
    Nobody listening is Unavailable, after the attempts.
    """
    with Client("127.0.0.1:1", retry=FAST) as client, pytest.raises(Unavailable):
        client.get_summary()


def test_a_delay_is_jittered_and_bounded() -> None:
    """
    Delays grow to their bound, differ, and heed what the server asks for.
    """
    retry = Retry(attempts=50, first_delay=0.1, max_delay=1.0)
    delays = [retry.delay(Unavailable("away"), attempt=attempt) or 0.0 for attempt in range(1, 49)]

    assert all(0 <= each <= 1.0 for each in delays)
    assert 40 < len(set(delays))
    assert 7 <= (retry.delay(Unavailable("away", retry_after=7), attempt=1) or 0) <= 7.1


def test_the_target_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Given, else STEWARD_TARGET, else this machine.
    """
    monkeypatch.delenv("STEWARD_TARGET", raising=False)
    here = Client()
    monkeypatch.setenv("STEWARD_TARGET", "elsewhere:1")
    there, given, bare = Client(), Client("given:2"), Client("bare")

    targets = [each.target for each in (here, there, given, bare)]
    assert [DEFAULT_TARGET, "elsewhere:1", "given:2", "bare:50051"] == targets
    for each in (here, there, given, bare):
        each.close()


def test_all_rpcs_say_whether_they_may_be_repeated() -> None:
    """
    Every RPC has an idempotency level, which the retries go by; these would do another thing the second time.
    """
    from steward.v1 import backup_service_pb2, data_management_service_pb2, health_service_pb2  # noqa: PLC0415 -- only here

    methods = [
        method.input_type.full_name
        for file in (data_management_service_pb2, backup_service_pb2, health_service_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    once = {f"steward.v1.{each}BackupRequest" for each in ("Create", "Delete", "Restore")}
    assert set(methods) - once == REPEATABLE
    assert once <= set(methods)


def test_importing_the_client_brings_no_server() -> None:
    """
    `import steward` loads nothing that only the server needs. But grpc itself looks for grpc_health.
    """
    foreign = ["stewardd", "peewee", "pysqlite3", "structlog", "opentelemetry", "pydantic", "typer", "rich"]
    script = f"import sys, steward; print([name for name in {foreign} if name in sys.modules])"

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "[]" == found.stdout.strip()
