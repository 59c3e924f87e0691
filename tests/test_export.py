"""
Taking interactions out: whole, in order, resumed, and checked.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from steward import (
    Client,
    InteractionFilter,
    InvalidArgument,
    RecordedInteraction,
    ResourceExhausted,
    StreamTruncated,
    Unavailable,
    columns,
)
from steward.exports import ExportCheck
from steward.status import from_call
from steward.v1 import export_pb2, interaction_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.app import App
from stewardd.testing import running_server
from tests.samples import NOON, interaction, laid_out, recorded, tampered

Part = export_pb2.ExportInteractionsResponse


def fill(client: Client, count: int, **changes: Any) -> None:
    """Record *count* interactions, some hundred at a time: a message has a size."""
    for start in range(0, count, 100):
        numbers = range(start, min(start + 100, count))
        recorded(client, *(interaction(session_id=f"s {number % 7}", **changes) for number in numbers))


@pytest.fixture
def stub(server: App) -> Iterator[DataManagementServiceStub]:
    """The bare stub, as another language has it."""
    with grpc.insecure_channel(server.target) as channel:
        yield DataManagementServiceStub(channel)


def listed(client: Client) -> list[RecordedInteraction]:
    """Return all interactions in the order of arrival."""
    return sorted(client.list_interactions(page_size=1000), key=lambda each: each.seq)


def test_everything_comes_in_the_order_of_arrival(client: Client) -> None:
    """
    However many batches it takes, an export is what lists show, once each, oldest arrival first.
    """
    fill(client, 2500)

    assert listed(client) == list(client.export_interactions())


def test_what_is_not_known_comes_as_such(client: Client) -> None:
    """
    Each value of an export is the one that lists show, of the same type, also where it is unset, 0, or false.
    """
    known = {"response_time_seconds": 0.0, "response_length": 0, "success": False, "user_rating": 1.0}
    unknown: dict[str, Any] = dict.fromkeys(known)
    recorded(client, *(interaction(**{**known, name: None}) for name in known), interaction(**known))
    recorded(client, interaction(**unknown, query_type="", follow_up_query=True, query="\U0001f600 \x01"))
    client.rate_interaction(listed(client)[1].interaction_id, 4)

    found = list(client.export_interactions())

    assert listed(client) == found
    assert [repr(each) for each in listed(client)] == [repr(each) for each in found]
    assert [hash(each) for each in listed(client)] == [hash(each) for each in found]


def test_a_time_that_is_none_is_named() -> None:
    """
    Microseconds outside the years 1 to 9999 are InvalidArgument naming the field, as of any message.
    """
    with pytest.raises(InvalidArgument) as caught:
        columns.values(columns_of(1, rated_at=2**62))

    assert ["rated_at"] == [each.field for each in caught.value.violations]


def test_columns_of_different_lengths_are_found() -> None:
    """
    A batch that lacks a value of one field is truncated, whatever its digest says.
    """
    for name in ("query", "rated_at"):
        batch = columns_of(2)
        column = getattr(batch, name)
        del getattr(column, "present", column)[1]
        with pytest.raises(StreamTruncated):
            columns.values(batch)


def columns_of(count: int, *, rated_at: int | None = None) -> export_pb2.InteractionColumns:
    """Return a batch of *count* interactions as the server lays it out."""
    known = (1, bytes(16), "s", 0, 0, "Dev", "How?", "", None, None, 0, 0, None, None, 0, 1)
    return laid_out([(*known, rated_at)] * count)


def test_a_filter_chooses(client: Client) -> None:
    """
    Only what is chosen comes, and a window of time leaves out no late arrival.
    """
    recorded(client, *(interaction(occurred_at=NOON + timedelta(hours=hours)) for hours in (5, 1, 3, 0, 4)))
    chosen = InteractionFilter(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=4))

    found = [each.occurred_at.hour - NOON.hour for each in client.export_interactions(chosen)]

    assert [1, 3] == found
    assert [] == list(client.export_interactions(InteractionFilter(user_roles=("nobody",))))


def test_the_parts_check_in_any_language(client: Client, stub: DataManagementServiceStub) -> None:
    """
    A header, batches of at most 1000, and a trailer whose digest is the chain of the batches as they are on the wire.
    """
    fill(client, 1001)

    header, *batches, trailer = stub.ExportInteractions(export_pb2.ExportInteractionsRequest())

    digest = bytes(32)
    for part in batches:
        digest = hashlib.sha256(digest + part.batch.rows.SerializeToString(deterministic=True)).digest()
    assert (1001, 0, [1000, 1]) == (
        header.header.last_seq,
        header.header.resumed_rows,
        [len(part.batch.rows.interactions) for part in batches],
    )
    assert (1001, digest) == (trailer.trailer.rows, trailer.trailer.digest)


def test_columns_are_the_rows_field_by_field(client: Client, stub: DataManagementServiceStub) -> None:
    """
    In the layout of columns each interaction has the values that it has as a row, also those that are not known.
    """
    fill(client, 1001)
    recorded(client, interaction(response_time_seconds=None, response_length=None, success=None, query_type=""))
    client.rate_interaction(listed(client)[0].interaction_id, 4)

    def parted(layout: export_pb2.ExportLayout.ValueType) -> list[export_pb2.ExportBatch]:
        parts = stub.ExportInteractions(export_pb2.ExportInteractionsRequest(layout=layout))
        return [part.batch for part in parts if part.HasField("batch")]

    rows = [row for batch in parted(export_pb2.EXPORT_LAYOUT_ROWS) for row in batch.rows.interactions]
    columns = [row for batch in parted(export_pb2.EXPORT_LAYOUT_COLUMNS) for row in read(batch.columns)]

    assert rows == columns


def read(columns: export_pb2.InteractionColumns) -> Iterator[interaction_pb2.RecordedInteraction]:
    """Yield the interactions of *columns*, as anyone would read them from the .proto."""
    times = ("occurred_at", "recorded_at", "rated_at")
    for index in range(len(columns.seq)):
        row = interaction_pb2.RecordedInteraction()
        for field in columns.DESCRIPTOR.fields:
            found = getattr(columns, field.name)
            if field.message_type is not None:
                if found.present and not found.present[index]:
                    continue
                found = found.values
            if field.name in times:
                getattr(row, field.name).FromMicroseconds(found[index])
            else:
                setattr(row, field.name, bool(found[index]) if field.name == "success" else found[index])
        yield row


def test_an_unknown_layout_is_named(stub: DataManagementServiceStub) -> None:
    """
    A layout that there is not is INVALID_ARGUMENT naming the field.
    """
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ExportInteractions(export_pb2.ExportInteractionsRequest(layout=7)))  # type: ignore[arg-type] # wrong

    assert grpc.StatusCode.INVALID_ARGUMENT == caught.value.code()
    assert "layout" in (caught.value.details() or "")


def test_long_questions_make_short_batches(client: Client, stub: DataManagementServiceStub) -> None:
    """
    A batch ends after about 1 MiB.
    """
    fill(client, 40, query="x" * 60_000)

    sizes = [each.ByteSize() for each in stub.ExportInteractions(export_pb2.ExportInteractionsRequest())]

    assert 1.2 * 2**20 > max(sizes) > 2**20
    assert 40 == len(list(client.export_interactions()))


def test_what_arrives_meanwhile_is_not_part_of_it(client: Client) -> None:
    """
    The end is fixed at the start.
    """
    fill(client, 1500)
    export = client.export_interactions()
    first = next(export)
    fill(client, 10)

    assert (1, 1499) == (first.seq, len(list(export)))


def test_a_token_goes_on_where_its_batch_ended(client: Client, stub: DataManagementServiceStub) -> None:
    """
    From any batch on, and after deletions of what came before, the rest comes and the trailer is of the whole.
    """
    fill(client, 3000)
    request = export_pb2.ExportInteractionsRequest()
    _, *batches, trailer = stub.ExportInteractions(request)

    for number, part in enumerate(batches):
        header, *rest, end = stub.ExportInteractions(
            export_pb2.ExportInteractionsRequest(resume_token=part.batch.resume_token)
        )
        assert (1000 * (number + 1), batches[number + 1 :], trailer) == (header.header.resumed_rows, rest, end)


def test_an_export_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    """
    The client goes on by itself when the server is back, without loss or repeat.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        fill(client, 5000)
        listen = server.target
    client = Client(listen, timeout=60)
    with running_server(tmp_path, listen=listen):
        export = client.export_interactions()
        found = [next(export).seq for _ in range(1500)]
    with running_server(tmp_path, listen=listen):
        found += [each.seq for each in export]
    client.close()

    assert list(range(1, 5001)) == found


def test_updated_since_brings_back_what_was_rated(client: Client) -> None:
    """
    What was recorded or rated at that time or later comes, and when it was rated is told.
    """
    receipts = recorded(client, *(interaction() for _ in range(3)))
    (before,) = {each.recorded_at for each in receipts}
    client.rate_interaction(receipts[1].interaction_id, 5.0)

    everything = list(client.export_interactions(updated_since=before))
    found = list(client.export_interactions(updated_since=before + timedelta(microseconds=1)))

    assert 3 == len(everything)
    assert [(receipts[1].seq, 5.0)] == [(each.seq, each.user_rating) for each in found]
    assert found[0].rated_at is not None
    assert datetime.now(UTC) >= found[0].rated_at > before
    assert [] == list(client.export_interactions(updated_since=datetime.now(UTC)))


def test_a_token_of_something_else_is_refused(tmp_path: Path) -> None:
    """
    A tampered token, one of another filter, of a page, or of another store is INVALID_ARGUMENT.
    """
    tokens = []
    for number in range(2):
        with running_server(tmp_path / str(number)) as server, Client(server.target) as client:
            fill(client, 1)
            with grpc.insecure_channel(server.target) as channel:
                stub = DataManagementServiceStub(channel)
                parts = list(stub.ExportInteractions(export_pb2.ExportInteractionsRequest()))
                token = parts[1].batch.resume_token
                tokens.append(token)
                bad = [tokens[0] if number else tampered(token), "x", token + "AA"]
                requests = [export_pb2.ExportInteractionsRequest(resume_token=each) for each in bad]
                requests.append(
                    export_pb2.ExportInteractionsRequest(
                        resume_token=token, filter=interaction_pb2.InteractionFilter(success=True)
                    )
                )
                for request in requests:
                    with pytest.raises(grpc.RpcError) as caught:
                        list(stub.ExportInteractions(request))
                    error = from_call(caught.value)
                    assert isinstance(error, InvalidArgument)
                    assert ["resume_token"] == [each.field for each in error.violations]


BAD = [
    (InteractionFilter(since=NOON, until=NOON), "filter.until"),
    (InteractionFilter(min_rating=9.0), "filter.min_rating"),
]


@pytest.mark.parametrize(("chosen", "field"), BAD)
def test_a_filter_that_cannot_be_is_refused(asked: Client, chosen: InteractionFilter, field: str) -> None:
    """
    What is wrong with a filter is named by its path.
    """
    with pytest.raises(InvalidArgument) as caught:
        list(asked.export_interactions(chosen))

    assert [field] == [each.field for each in caught.value.violations]


def test_so_many_exports_at_once_and_no_more() -> None:
    """
    One over the limit is told to come back; one that is given up makes room.
    """
    with running_server(exports=2) as server, Client(server.target) as client:
        fill(client, 300, query="x" * 60_000)  # more than is on its way before anyone reads
        with grpc.insecure_channel(server.target) as channel:
            stub = DataManagementServiceStub(channel)
            calls = [stub.ExportInteractions(export_pb2.ExportInteractionsRequest()) for _ in range(2)]
            for call in calls:
                next(call)
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.ExportInteractions(export_pb2.ExportInteractionsRequest()))
            for call in calls:
                call.cancel()
        error = from_call(caught.value)

        assert isinstance(error, ResourceExhausted)
        assert ("TOO_MANY_EXPORTS", 2.0) == (error.reason, error.retry_after)
        assert 300 == len(list(client.export_interactions()))


def test_a_stop_ends_exports(tmp_path: Path) -> None:
    """
    A reader that does not read holds no stop up, and is told UNAVAILABLE.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        fill(client, 400, query="x" * 60_000)
        channel = grpc.insecure_channel(server.target)
        call = DataManagementServiceStub(channel).ExportInteractions(export_pb2.ExportInteractionsRequest())
        next(call)
        stopping = datetime.now(UTC)
    took = datetime.now(UTC) - stopping

    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    channel.close()

    assert isinstance(from_call(caught.value), Unavailable)
    assert timedelta(seconds=8) > took


def test_a_summary_is_of_what_was_recorded(client: Client) -> None:
    """
    export_summary gives the figures of a window as a file with a name, and what is left out of the window is not in it.
    """
    recorded(client, interaction(), interaction(occurred_at=NOON - timedelta(days=1)))

    file = client.export_summary(since=NOON, until=NOON + timedelta(hours=1))

    figures = json.loads(file.content)["user_interactions"]["interactions"]
    assert ("summary.json", "application/json", 1) == (file.name, file.media_type, figures["total"])


def parts(count: int) -> list[Part]:
    """Return an export of *count* interactions, one a batch, every other one as columns."""
    digest, made = bytes(32), [Part(header=export_pb2.ExportHeader(last_seq=count))]
    for number in range(count):
        rows = export_pb2.InteractionRows(interactions=[{"seq": number}])  # type: ignore[list-item] # a dict will do
        batch = export_pb2.InteractionColumns(seq=[number]) if number % 2 else rows
        digest = hashlib.sha256(digest + batch.SerializeToString(deterministic=True)).digest()
        fields: dict[str, Any] = {"columns" if number % 2 else "rows": batch}
        made.append(Part(batch=export_pb2.ExportBatch(**fields)))
    return [*made, Part(trailer=export_pb2.ExportTrailer(rows=count, digest=digest))]


def taken(messages: list[Part]) -> int:
    """Return how many batches *messages* bring, if they are whole."""
    check = ExportCheck()
    count = sum(len(check.take(each)) for each in messages)
    check.end()
    return count


def test_what_is_missing_or_changed_is_found() -> None:
    """
    Without a batch, with one twice, in another order, changed, or without the trailer, an export is truncated.
    """
    whole = parts(3)
    header, one, two, three, trailer = whole
    changed = Part()
    changed.CopyFrom(two)
    changed.batch.columns.query[:] = ["another"]
    broken = [
        [header, one, three, trailer],
        [header, one, two, two, three, trailer],
        [header, two, one, three, trailer],
        [header, one, changed, three, trailer],
        [header, one, two, three],
        [],
    ]

    assert 3 == taken(whole)
    for messages in broken:
        with pytest.raises(StreamTruncated):
            taken(messages)


def test_a_table_is_a_file_of_what_lists_show(client: Client) -> None:
    """
    By export_table each interaction is a row, in the order of arrival.
    """
    fill(client, 1200)

    content = b"".join(client.export_table("interactions")).decode()

    assert [each.interaction_id for each in listed(client)] == [row[:36] for row in content.splitlines()[1:]]


def test_an_archive_has_what_an_auditor_wants(client: Client) -> None:
    """
    By export_compliance three tables come with a report and digests.
    """
    fill(client, 120)

    with tarfile.open(fileobj=io.BytesIO(b"".join(client.export_compliance())), mode="r:gz") as archive:
        assert ["interactions.csv", "sessions.csv", "metrics.csv", "report.json", "SHA256SUMS"] == archive.getnames()
