"""
Tables as files: every column, every value, every format, resumed at any chunk.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from steward import Client, ExportCompression, ExportFormat, InvalidArgument, StreamTruncated
from steward.exports import FileCheck
from steward.legacy import LegacyFile
from steward.status import from_call
from steward.types import AlertMetric, AlertOperator, BusinessMetric, ContentAccess, MetricPoint
from steward.v1 import export_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.app import App
from stewardd.store.models import MODELS, Meta
from stewardd.tables import TABLES
from stewardd.testing import running_server
from tests.samples import NOON, interaction, recorded

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\ttab",
    "\rreturn",
    "\nfeed",
    "\uff1dfull",
    "\uff0bfull",
    "\uff0dfull",
    "\uff20full",
    "'=quoted",
    "''=twice",
    "'plain",
    "'",
    'say "yes", please',
    "a\r\nb\nc\rd",
    "\x01\x02\x1f\x7f\u2028",
    "\U0001f600 na\u00efve \u65e5\u672c",
    "100 % of {this} \\n",
    "1,5;2",
    " blanks ",
    "null",
    "_x0041_",
]
DANGEROUS = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
COLUMNS = [
    "interaction_id",
    "session",
    "occurred_at",
    "recorded_at",
    "user_role",
    "query",
    "query_type",
    "response_time_seconds",
    "response_length",
    "code_snippets_shown",
    "citations_provided",
    "success",
    "user_rating",
    "follow_up_query",
    "conversation_turn",
    "rated_at",
]


def harmless(text: str) -> str:
    """Return *text* as CSV and XLSX have it."""
    return f"'{text}" if DANGEROUS.match(text) else text


def fill(client: Client) -> None:
    """Record something nasty in each table."""
    client.set_alert_rule("-rule", metric=AlertMetric.QUERY_VOLUME, operator=AlertOperator.GT, threshold=0.5)
    times: list[float | None] = [None, 0.1 + 0.2, 1e9, 5e-324, 0.0]
    recorded(
        client,
        *(
            interaction(
                session_id=f"s {number % 5}",
                query=text,
                user_role=text if number % 2 else "Dev",
                response_time_seconds=times[number % 5],
                response_length=[None, 10**9][number % 2],
                success=[None, True, False][number % 3],
                occurred_at=datetime.now(UTC) - timedelta(seconds=1),
                follow_up_query=number % 2 == 1,
            )
            for number, text in enumerate(NASTY)
        ),
    )
    for text in NASTY:
        client.record_content_access(
            ContentAccess(
                content_type="doc", content_id=text, user_role="Dev", relevance_score=-0.0, metadata={text: text}
            )
        )
        client.record_business_metric(BusinessMetric(name=text, value=-2.5, metric_type="rate", metadata={"a": text}))
    client.record_metrics([MetricPoint(name="m", value=-0.0, unit=text, labels={"a": text}) for text in NASTY])
    client.evaluate_alerts()


@pytest.fixture(scope="module")
def filled() -> Iterator[Client]:
    """A client of a server with something nasty in each table."""
    with running_server(alert_seconds=3600.0) as running, Client(running.target) as connected:
        fill(connected)
        yield connected


ROWS = {
    "interactions": len(NASTY),
    "sessions": 5,
    "content": len(NASTY),
    "business": len(NASTY),
    "metrics": len(NASTY),
    "alerts": 4,
    "alert_rules": 5,
}


def whole(client: Client, table: str, **options: Any) -> bytes:
    """Return *table* as a file."""
    return b"".join(client.export_table(table, **options))


def cells(content: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def objects(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON Lines."""
    return [json.loads(line) for line in content.decode().split("\n")[:-1]]


@pytest.mark.parametrize("model", [each for each in MODELS if each is not Meta], ids=lambda each: each.__name__)
def test_every_column_is_exported_or_left_out_for_a_reason(model: Any) -> None:
    """
    Each model but Meta has an export, and each of its columns is in it or is named with a reason.
    """
    (table,) = (each for each in TABLES.values() if each.model is model)
    columns = {field.column_name for field in model._meta.sorted_fields}  # noqa: SLF001 -- Peewee's name
    exported = {each.name for each in table.columns}

    assert columns == (exported & columns) | set(table.left_out)
    assert set() == exported & set(table.left_out)
    assert all(table.left_out.values())


def test_interactions_have_their_columns_in_order(filled: Client) -> None:
    """
    The header of interactions is the agreed one.
    """
    assert COLUMNS == whole(filled, "interactions").decode().split("\r\n")[0].split(",")
    assert COLUMNS == list(objects(whole(filled, "interactions", format=ExportFormat.JSONL))[0])


def test_values_are_spelled_as_agreed(filled: Client) -> None:
    """
    Each value of an interaction in CSV and JSON Lines is the one that lists show, exactly.
    """
    listed = sorted(filled.list_interactions(page_size=1000), key=lambda each: each.seq)
    rows = objects(whole(filled, "interactions", format=ExportFormat.JSONL))
    raw = cells(whole(filled, "interactions", raw=True))

    for value, row, cell in zip(listed, rows, raw, strict=True):
        expected = {name: getattr(value, name) for name in COLUMNS}
        for name in ("occurred_at", "recorded_at", "rated_at"):
            time = expected[name]
            expected[name] = None if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert expected == row
        assert {name: spelled(each) for name, each in expected.items()} == cell
    assert NASTY == [row["query"] for row in rows]


def spelled(value: object) -> str:
    """Return *value* as a cell of CSV."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_a_text_that_begins_a_formula_is_made_harmless(filled: Client) -> None:
    """
    Each such text of CSV has exactly one more apostrophe than it had, and nothing else has.
    """
    rows = cells(whole(filled, "interactions"))

    assert [harmless(each) for each in NASTY] == [row["query"] for row in rows]
    assert [harmless(each) if number % 2 else "Dev" for number, each in enumerate(NASTY)] == [
        row["user_role"] for row in rows
    ]
    assert ["-2.5"] * len(NASTY) == [row["value"] for row in cells(whole(filled, "business"))]


def test_json_lines_are_compact_and_nested(filled: Client) -> None:
    """
    A line has no blanks between values, keeps what is not ASCII, and what is JSON in the store is JSON in it.
    """
    content = whole(filled, "content", format=ExportFormat.JSONL)
    rows = objects(content)

    assert [{text: text} for text in NASTY] == [row["metadata"] for row in rows]
    assert ["Dev"] == rows[0]["user_roles"]
    assert "\U0001f600".encode() in content
    assert [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows] == [
        line.replace("\\u007f", "\x7f") for line in content.decode().split("\n")[:-1]
    ]
    assert [{text: text} for text in NASTY] == [json.loads(row["metadata"]) for row in cells(whole(filled, "content"))]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("form", [ExportFormat.CSV, ExportFormat.JSONL])
def test_every_table_has_all_its_rows(filled: Client, table: str, form: ExportFormat) -> None:
    """
    Whatever the table, what is read back has its rows, and its columns in order.
    """
    content = whole(filled, table, format=form)
    rows: list[Any] = cells(content) if form is ExportFormat.CSV else objects(content)

    assert ROWS[table] == len(rows)
    assert [each.name for each in TABLES[table].columns] == list(rows[0])


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_is_a_file_too(asked: Client, table: str) -> None:
    """
    Without rows CSV is its header, and JSON Lines nothing.
    """
    if table == "alert_rules":
        assert 4 == len(cells(whole(asked, table)))
        return

    assert [] == cells(whole(asked, table))
    assert ",".join(each.name for each in TABLES[table].columns).encode() + b"\r\n" == whole(asked, table)
    assert b"" == whole(asked, table, format=ExportFormat.JSONL)


def test_a_window_and_roles_choose(client: Client) -> None:
    """
    Since, until and roles choose rows by the table's own time and role.
    """
    recorded(
        client,
        *(
            interaction(session_id=str(hour), occurred_at=NOON + timedelta(hours=hour), user_role=role)
            for hour, role in enumerate(["a", "b", "a", "b"])
        ),
    )
    for role in ("a", "b"):
        client.record_content_access(ContentAccess(content_type="doc", content_id=role, user_role=role))
    window = {"since": NOON + timedelta(hours=1), "until": NOON + timedelta(hours=3)}

    for table in ("interactions", "sessions"):
        assert ["a", "b"] == sorted(row["user_role"] for row in cells(whole(client, table, **window)))
        assert ["a"] == [row["user_role"] for row in cells(whole(client, table, **window, user_roles=["a"]))]
    assert ["b"] == [row["content_id"] for row in cells(whole(client, "content", user_roles=["b"]))]


BAD = [
    ({"table": "nothing"}, ["table"]),
    ({"table": "Interactions"}, ["table"]),
    ({"format": 99}, ["format"]),
    ({"compression": 99}, ["compression"]),
    ({"since": NOON, "until": NOON}, ["until"]),
    ({"user_roles": ["x" * 200]}, ["user_roles"]),
    ({"table": "metrics", "user_roles": ["Dev"]}, ["user_roles"]),
    ({"table": "alert_rules", "since": NOON, "until": NOON + timedelta(1)}, ["since", "until"]),
    ({"resume_token": "x"}, ["resume_token"]),
]


@pytest.mark.parametrize(("fields", "expected"), BAD, ids=str)
def test_what_cannot_be_exported_is_refused_by_field(
    asked: Client, fields: dict[str, Any], expected: list[str]
) -> None:
    """
    Each wrong field is named.
    """
    with pytest.raises(InvalidArgument) as caught:
        list(asked.export_table_parts(**{"table": "interactions", **fields}))

    assert expected == [each.field for each in caught.value.violations]


@pytest.fixture
def stub(server: App) -> Iterator[DataManagementServiceStub]:
    """The bare stub, as another language has it."""
    with grpc.insecure_channel(server.target) as channel:
        yield DataManagementServiceStub(channel)


def many(client: Client, count: int, **changes: Any) -> None:
    """Record *count* interactions."""
    for start in range(0, count, 100):
        recorded(
            client, *(interaction(query=f"{number}: {'x' * 900}", **changes) for number in range(start, start + 100))
        )


@pytest.mark.parametrize("form", [ExportFormat.CSV, ExportFormat.JSONL])
def test_from_any_chunk_on_the_rest_comes(client: Client, stub: DataManagementServiceStub, form: ExportFormat) -> None:
    """
    Whole rows a chunk; what was sent before a token and what comes after it are the whole, whatever is recorded then.
    """
    many(client, 700)
    request = export_pb2.ExportTableRequest(table="interactions", format=int(form))  # type: ignore[arg-type] # its number
    _, *chunks, trailer = stub.ExportTable(request)
    content = b"".join(part.chunk.data for part in chunks)
    many(client, 100)

    assert len(chunks) > 4
    assert (700, len(content)) == (trailer.trailer.rows, trailer.trailer.bytes)
    for number, part in enumerate(chunks):
        before = b"".join(each.chunk.data for each in chunks[: number + 1])
        request.resume_token = part.chunk.resume_token
        header, *rest, end = stub.ExportTable(request)
        assert content == before + b"".join(each.chunk.data for each in rest)
        assert (len(before), before.count(b"\n") - (form is ExportFormat.CSV)) == (
            header.header.resumed_bytes,
            header.header.resumed_rows,
        )
        assert (700, len(content)) == (end.trailer.rows, end.trailer.bytes)
        assert before.endswith(b"\n")
        assert 256 * 1024 >= len(part.chunk.data)


def test_a_token_is_for_the_same_fields_only(client: Client, stub: DataManagementServiceStub) -> None:
    """
    With another table, format, window or raw, a token is refused.
    """
    many(client, 100)
    token = list(stub.ExportTable(export_pb2.ExportTableRequest(table="interactions")))[1].chunk.resume_token
    others: list[dict[str, Any]] = [
        {"table": "sessions"},
        {"format": 2},
        {"raw": True},
        {"user_roles": ["Dev"]},
        {"compression": 1},
    ]

    for fields in others:
        request = export_pb2.ExportTableRequest(**{"table": "interactions", **fields}, resume_token=token)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ExportTable(request))
        error = from_call(caught.value)
        assert isinstance(error, InvalidArgument)
        assert ["resume_token"] == [each.field for each in error.violations]


def test_a_file_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    """
    The client goes on by itself when the server is back, and the file is the one that never broke.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        many(client, 4000)
        expected = whole(client, "interactions")
        listen = server.target
    client = Client(listen, timeout=60)
    with running_server(tmp_path, listen=listen):
        export = client.export_table("interactions")
        found = next(export)
    with running_server(tmp_path, listen=listen):
        found += b"".join(export)
    client.close()

    assert expected == found


def check(messages: list[export_pb2.ExportTableResponse]) -> None:
    """See that *messages* are a whole file."""
    taken = FileCheck()
    for each in messages:
        taken.take(each)
    taken.end()


def test_what_is_missing_or_changed_is_found(filled: Client) -> None:
    """
    Without its trailer, without a chunk, or with another byte, a file is truncated.
    """
    with grpc.insecure_channel(filled.target) as channel:
        parts = list(
            DataManagementServiceStub(channel).ExportTable(export_pb2.ExportTableRequest(table="interactions"))
        )
    changed = export_pb2.ExportTableResponse()
    changed.CopyFrom(parts[1])
    changed.chunk.data = changed.chunk.data.replace(b"Dev", b"Sev")
    broken = [parts[:-1], [parts[0], *parts[2:]], [parts[0], changed, *parts[2:]], []]

    for messages in broken:
        with pytest.raises(StreamTruncated):
            check(messages)


def test_the_predecessors_file_comes_out_again(client: Client) -> None:
    """
    A real file of the predecessor, imported, is all there in every table.
    """
    path = next((DATA / "legacy").glob("*.db.gz"), None)
    if path is None:
        pytest.skip("there is no file of the predecessor beside the project")
    with LegacyFile(path) as source:
        items: Any = list(source.rows(zone=UTC))
    report = client.import_interactions([items[start : start + 1000] for start in range(0, len(items), 1000)])
    stored = {each.table: each.stored for each in report.tables}

    assert 100 == len(cells(whole(client, "interactions"))) == stored["interactions"]
    assert 10 == len(objects(whole(client, "sessions", format=ExportFormat.JSONL)))
    for row in cells(whole(client, "interactions")):
        datetime.strptime(row["occurred_at"], "%Y-%m-%dT%H:%M:%S.%f%z")


def test_a_compression_is_none_of_a_bad_name() -> None:
    """
    The enums of the client have the numbers of the .proto.
    """
    for kind in (ExportFormat, ExportCompression):
        numbers = export_pb2.DESCRIPTOR.enum_types_by_name[kind.__name__].values_by_name
        prefix = "EXPORT_FORMAT_" if kind is ExportFormat else "EXPORT_COMPRESSION_"
        assert {name.removeprefix(prefix): each.number for name, each in numbers.items()} == {
            each.name: each.value for each in kind
        }
