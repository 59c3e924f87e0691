"""
The border as strangers meet it: what goes wrong on the wire, and what a server never says.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from steward import Client, Internal, InvalidArgument, ResourceExhausted, errors
from steward.status import from_call
from steward.types import LIMITS
from steward.v1 import ingest_pb2, interaction_pb2, sessions_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd import ingest
from stewardd.app import App
from stewardd.testing import Daemon, running_server
from tests.samples import interaction, recorded, tampered

DATA = "/steward.v1.DataManagementService/"
PERSONAL = "jordan.doe@example.com"


@pytest.fixture
def channel(server: App) -> Iterator[grpc.Channel]:
    """A bare connection."""
    with grpc.insecure_channel(server.target, options=(("grpc.max_send_message_length", -1),)) as connected:
        yield connected


@pytest.fixture
def stub(channel: grpc.Channel) -> DataManagementServiceStub:
    """What a caller without our client has."""
    return DataManagementServiceStub(channel)


def failure(call: Callable[[], Any]) -> errors.Error:
    """Return what *call* fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return from_call(caught.value)


def raw(channel: grpc.Channel, method: str) -> Any:
    """Return *method* for bytes as they are."""
    return channel.unary_unary(method)


GARBAGE = [b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a\x04\x12\x02\xff\xfe"]  # no message; cut short; not UTF-8


@pytest.mark.parametrize("data", GARBAGE)
@pytest.mark.parametrize("method", ["RecordInteraction", "RecordInteractions", "GetSession", "ListInteractions"])
def test_bytes_that_are_no_message_are_the_callers_fault(channel: grpc.Channel, method: str, data: bytes) -> None:
    """
    What cannot be decoded is INVALID_ARGUMENT, not INTERNAL.
    """
    found = failure(lambda: raw(channel, DATA + method)(data))

    assert (InvalidArgument, "MALFORMED_MESSAGE") == (type(found), found.reason)


def test_a_malformed_message_in_a_stream_is_the_callers_fault(channel: grpc.Channel) -> None:
    """
    The same in the stream of an import.
    """
    method: Any = channel.stream_unary(DATA + "ImportInteractions")

    found = failure(lambda: method(iter([GARBAGE[0]])))

    assert (InvalidArgument, "MALFORMED_MESSAGE") == (type(found), found.reason)


def test_a_message_over_the_limit_is_refused(channel: grpc.Channel) -> None:
    """
    More than 8 MiB is RESOURCE_EXHAUSTED by gRPC itself, and worth no retry.
    """
    found = failure(lambda: raw(channel, DATA + "RecordInteractions")(bytes(LIMITS.message_bytes + 1)))

    assert (ResourceExhausted, None) == (type(found), found.retry_after)


def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    """
    A method that is not there is UNIMPLEMENTED.
    """
    assert errors.Unimplemented is type(failure(lambda: raw(channel, DATA + "Guess")(b"")))


def test_an_empty_request_is_answered_or_refused_by_name(stub: DataManagementServiceStub) -> None:
    """
    Requests without any field set work where there is a default, and name what is missing where there is none.
    """
    assert 0 == len(stub.ListInteractions(ingest_pb2.ListInteractionsRequest()).interactions)
    assert 0 == len(stub.ListSessions(sessions_pb2.ListSessionsRequest()).sessions)
    found = failure(lambda: stub.RecordInteraction(ingest_pb2.RecordInteractionRequest()))
    assert [
        "interaction_id",
        "session_id",
        "user_role",
        "query",
    ] == [each.field.removeprefix("interaction.") for each in found.violations]


@pytest.mark.parametrize("size", [-1, -(2**31)])
def test_a_page_size_below_0_is_refused(stub: DataManagementServiceStub, size: int) -> None:
    """
    A negative page size is named.
    """
    lists = (
        lambda: stub.ListInteractions(ingest_pb2.ListInteractionsRequest(page_size=size)),
        lambda: stub.ListSessions(sessions_pb2.ListSessionsRequest(page_size=size)),
    )

    assert ["page_size", "page_size"] == [failure(each).violations[0].field for each in lists]


def test_a_page_size_over_the_limit_means_the_limit(client: Client, stub: DataManagementServiceStub) -> None:
    """
    Sizes over 1000 are taken as 1000, and 0 as 100.
    """
    for _ in range(2):
        recorded(client, *(interaction() for _ in range(600)))

    sizes = [
        len(stub.ListInteractions(ingest_pb2.ListInteractionsRequest(page_size=size)).interactions)
        for size in (0, 5000, 3)
    ]

    assert [100, 1000, 3] == sizes


@pytest.mark.parametrize("token", ["x", "AAAA", "ä", "A" * 44, "A" * 43, "=", "\0"])
def test_an_unknown_page_token_is_refused(stub: DataManagementServiceStub, token: str) -> None:
    """
    A token that the server did not make is named.
    """
    found = failure(lambda: stub.ListInteractions(ingest_pb2.ListInteractionsRequest(page_token=token)))

    assert (InvalidArgument, "page_token") == (type(found), found.violations[0].field)


def test_a_page_token_is_for_its_own_question(client: Client, stub: DataManagementServiceStub) -> None:
    """
    A token of another filter, of another list, or of another store is refused; another page size is no other question.
    """
    recorded(client, interaction(), interaction(session_id="other"))
    token = stub.ListInteractions(ingest_pb2.ListInteractionsRequest(page_size=1)).next_page_token
    fun = interaction_pb2.InteractionFilter(query_types=["fun"])

    again = stub.ListInteractions(ingest_pb2.ListInteractionsRequest(page_size=9, page_token=token))
    refused = [
        lambda: stub.ListInteractions(ingest_pb2.ListInteractionsRequest(filter=fun, page_token=token)),
        lambda: stub.ListSessions(sessions_pb2.ListSessionsRequest(page_token=token)),
        lambda: stub.ListInteractions(ingest_pb2.ListInteractionsRequest(page_token=tampered(token))),
    ]

    assert 1 == len(again.interactions)
    assert ["page_token"] * 3 == [failure(each).violations[0].field for each in refused]
    with running_server() as other, grpc.insecure_channel(other.target) as elsewhere:
        foreign = DataManagementServiceStub(elsewhere)
        found = failure(lambda: foreign.ListInteractions(ingest_pb2.ListInteractionsRequest(page_token=token)))
    assert "page_token" == found.violations[0].field


def test_a_fault_of_the_server_says_nothing_and_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    An error that nobody foresaw is INTERNAL "internal error"; the log has where and what, under the id the caller got.
    """

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(PERSONAL)

    monkeypatch.setattr(ingest, "listed", broken)
    with running_server(tmp_path) as server, Client(server.target) as client:
        with pytest.raises(Internal) as caught:
            next(client.list_interactions())
        rpcs = client.get_server_info().rpcs
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]

    assert "internal error" == caught.value.message
    assert [(1, 1)] == [(each.calls, each.errors) for each in rpcs if each.method.endswith("/ListInteractions")]
    (line,) = lines
    assert (caught.value.request_id, "builtins.ZeroDivisionError") == (
        line["request_id"],
        line["exception"][0]["type"],
    )
    assert PERSONAL not in json.dumps(lines)


@pytest.mark.parametrize(
    ("given", "kept"), [("0190163d-8694-739b-aea5-966c26f8ad91", True), ("jordan doe", False), ("x" * 99, False)]
)
def test_a_callers_request_id_is_taken_when_it_is_one(
    stub: DataManagementServiceStub, given: str, *, kept: bool
) -> None:
    """
    The id in x-request-id names the call, unless it could be anything else than an id.
    """
    request = ingest_pb2.GetInteractionRequest(interaction_id="bad")

    found = failure(lambda: stub.GetInteraction(request, metadata=(("x-request-id", given),)))

    assert kept == (given == found.request_id)
    assert re.fullmatch("[0-9a-f-]{32,36}", found.request_id)


def test_no_text_of_a_user_reaches_the_log_or_the_file(tmp_path: Path) -> None:
    """
    After good and bad calls with personal data in every field, neither the log nor any file of the store holds it.
    """
    session = "session-of-jordan-doe"
    texts = [PERSONAL, "078-05-1120", "4111 1111 1111 1111"]
    with Daemon(tmp_path, "--log-level", "debug") as daemon, Client(daemon.target) as client:
        for text in texts:
            client.record_interaction(interaction(query=text, session_id=session, user_role=PERSONAL))
            for bad in ({"query": f"{text}\0"}, {"session_id": text * 50}, {"interaction_id": text}):
                with pytest.raises(InvalidArgument) as caught:
                    client.record_interaction(interaction(**bad))
                assert text not in str(caught.value)
            client.get_session(session_id=session)
            list(client.list_interactions())

    log = "".join(daemon.log)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert [] == [text for text in (*texts, session) if text in log]
    assert [] == [text for text in (*texts, session) if text.encode() in files]
    assert b"[EMAIL_REDACTED]" in files


def test_a_server_under_too_many_calls_refuses_and_still_answers_probes(tmp_path: Path) -> None:
    """
    Over max_calls a call is RESOURCE_EXHAUSTED with a time to come back; health checks are not counted.
    """
    with running_server(tmp_path, max_calls=1) as server, grpc.insecure_channel(server.target) as channel:
        waiting: Any = channel.stream_unary(DATA + "ImportInteractions")
        release: list[bytes] = []
        held = waiting.future(_until(release))
        stub = DataManagementServiceStub(channel)
        while True:  # until the import has been let in
            try:
                stub.ListSessions(sessions_pb2.ListSessionsRequest())
            except grpc.RpcError as error:
                found = from_call(error)
                break
        probe = raw(channel, "/grpc.health.v1.Health/Check")(b"")
        release.append(b"")
        held.result()

    assert ("TOO_MANY_CALLS", b"\x08\x01") == (found.reason, probe)
    assert found.retry_after


def _until(release: list[bytes]) -> Iterator[bytes]:
    while not release:
        time.sleep(0.01)  # the test, not the server, is waited for
    yield from release


def test_logging_of_libraries_is_not_in_the_way() -> None:
    """
    The daemon configures its own logger and leaves the root logger alone.
    """
    assert logging.WARNING == logging.getLogger().level
