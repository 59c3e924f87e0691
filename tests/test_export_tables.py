"""
Tables as files: every column, every value, every format, resumed at any chunk.
"""

import csv
import gzip
import hashlib
import io
import json
import math
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import grpc
import openpyxl
import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from steward import (
    Client,
    ExportCompression,
    ExportFormat,
    FailedPrecondition,
    InvalidArgument,
    Numbering,
    NumberRange,
    StreamTruncated,
    ids,
)
from steward.exports import FileCheck
from steward.legacy import LegacyFile
from steward.status import from_call
from steward.types import AlertMetric, AlertOperator, BusinessMetric, ContentAccess, FileChunk, FileTrailer, MetricPoint
from steward.v1 import export_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.app import App
from stewardd.pages import Page
from stewardd.store.models import MODELS, Meta, Restore
from stewardd.tables import TABLES, Kind
from stewardd.testing import running_server
from stewardd.workbook import Workbook
from tests.benchmarks.child import Child
from tests.samples import NOON, interaction, recorded
from tests.table_files import COLUMNS

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
LABELS = [each for each in NASTY if each.isprintable()]
DANGEROUS = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


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
    for text in LABELS:
        numbering = Numbering(recorder_id=ids.mint(), recorder_name=text, forgone=(NumberRange(2, 2),), issued=3)
        client.record_interactions([], numbering=numbering)
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
    "recorders": len(LABELS),
    "recorder_gaps": len(LABELS),
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


@pytest.mark.parametrize(
    "model", [each for each in MODELS if each not in (Meta, Restore)], ids=lambda each: each.__name__
)
def test_every_column_is_exported_or_left_out_for_a_reason(model: Any) -> None:
    """
    Each model but those of the store itself has an export, and each of its columns is in it or is named with a reason.
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
    assert list(COLUMNS) == whole(filled, "interactions").decode().split("\r\n")[0].split(",")
    assert list(COLUMNS) == list(objects(whole(filled, "interactions", format=ExportFormat.JSONL))[0])


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
        assert {name: spelled(each) for name, each in expected.items()} == {
            name: respelled(text, expected[name]) for name, text in cell.items()
        }
    assert NASTY == [row["query"] for row in rows]


def spelled(value: object) -> str:
    """Return *value* as a cell of CSV."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def respelled(cell: str, like: object) -> str:
    """Return *cell*, a number as Python spells it: 1.0e+20 is 1e+20."""
    return str(float(cell)) if isinstance(like, float) else cell


def test_every_number_comes_back_exactly(client: Client) -> None:
    """
    Each floating-point number is the same after CSV, JSON Lines and Parquet, to its last bit.
    """
    chance = random.Random(4)
    values = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(1000)]
    values = [each for each in values if math.isfinite(each) and abs(each) <= 1e9] + [
        chance.choice([chance.random(), chance.gauss(0, 1e4), chance.randrange(10**6) / 1000]) for _ in range(2000)
    ]
    for start in range(0, len(values), 500):
        client.record_metrics(
            MetricPoint(name="m", value=value, unit="", component="c") for value in values[start : start + 500]
        )

    table = parquet.read_table(io.BytesIO(whole(client, "metrics", format=ExportFormat.PARQUET)))

    assert values == [float(row["value"]) for row in cells(whole(client, "metrics"))]
    assert values == [row["value"] for row in objects(whole(client, "metrics", format=ExportFormat.JSONL))]
    assert values == table["value"].to_pylist()


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


def test_a_chunk_says_how_many_rows_came(client: Client) -> None:
    """
    Each chunk has the rows so far: exactly in whole rows, and at the end of any format those of the trailer.
    """
    many(client, 700)

    for form in (ExportFormat.CSV, ExportFormat.PARQUET):
        _, *chunks, trailer = client.export_table_parts("interactions", format=form)
        rows = [chunk.rows for chunk in chunks if isinstance(chunk, FileChunk)]
        assert isinstance(trailer, FileTrailer)
        assert (sorted(rows), trailer.rows) == (rows, rows[-1])
        if form is ExportFormat.CSV:
            lines = accumulate(chunk.data.count(b"\n") for chunk in chunks if isinstance(chunk, FileChunk))
            assert [count - 1 for count in lines] == rows


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


FORMS = [
    (ExportFormat.CSV, ExportCompression.UNSPECIFIED),
    (ExportFormat.CSV, ExportCompression.GZIP),
    (ExportFormat.JSONL, ExportCompression.UNSPECIFIED),
    (ExportFormat.JSONL, ExportCompression.ZSTD),
    (ExportFormat.JSON, ExportCompression.UNSPECIFIED),
    (ExportFormat.JSON, ExportCompression.GZIP),
    (ExportFormat.PARQUET, ExportCompression.UNSPECIFIED),
    (ExportFormat.ARROW, ExportCompression.UNSPECIFIED),
    (ExportFormat.XLSX, ExportCompression.UNSPECIFIED),
]


def opened(content: bytes, form: ExportFormat, compression: ExportCompression) -> list[dict[str, Any]]:
    """Return the rows of a file of whatever kind."""
    if compression is ExportCompression.GZIP:
        content = gzip.decompress(content)
    elif compression is ExportCompression.ZSTD:
        content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)).read()
    match form:
        case ExportFormat.CSV:
            return list(cells(content))
        case ExportFormat.JSONL:
            return objects(content)
        case ExportFormat.JSON:
            return list(json.loads(content))
        case ExportFormat.PARQUET:
            return list(parquet.read_table(io.BytesIO(content)).to_pylist())
        case ExportFormat.ARROW:
            return list(pa.ipc.open_stream(content).read_all().to_pylist())
    header, *rows = openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_every_format_has_every_row(
    filled: Client, table: str, form: ExportFormat, compression: ExportCompression
) -> None:
    """
    Whatever the format and the compression, a file opens again with the rows and texts of JSON Lines.
    """
    expected = objects(whole(filled, table, format=ExportFormat.JSONL))
    texts = [each.name for each in TABLES[table].columns if each.kind in (Kind.TEXT, Kind.UUID, Kind.PSEUDONYM)]
    cautious = form in (ExportFormat.CSV, ExportFormat.XLSX)

    found = opened(whole(filled, table, format=form, compression=compression), form, compression)

    assert ROWS[table] == len(found)
    assert list(expected[0]) == list(found[0])
    for row, each in zip(expected, found, strict=True):
        for name in texts:
            text = harmless(row[name]) if cautious else row[name]
            assert (unescaped(text) if form is ExportFormat.XLSX else text) == (each[name] or "")


def unescaped(text: str) -> str:
    """Return *text* as openpyxl reads it: it leaves XML's escapes of what XML cannot hold, and ends lines with LF."""
    escaped = re.sub("_x[0-9A-Fa-f]{4}_", lambda match: f"_x005F{match[0]}", text)
    return re.sub("[\x01-\x08\x0b-\x1f]", lambda match: f"_x{ord(match[0]):04X}_", escaped)


@pytest.mark.parametrize("form", [ExportFormat.PARQUET, ExportFormat.ARROW])
def test_columns_are_typed(filled: Client, form: ExportFormat) -> None:
    """
    Times, booleans, integers and floats are such in Arrow and Parquet, and their values are those of lists.
    """
    content = whole(filled, "interactions", format=form)
    found = parquet.read_table(io.BytesIO(content)) if form is ExportFormat.PARQUET else None
    found = found or pa.ipc.open_stream(content).read_all()
    listed = sorted(filled.list_interactions(page_size=1000), key=lambda each: each.seq)

    kinds = [pa.string(), pa.string(), *[pa.timestamp("us", tz="UTC")] * 2, *[pa.string()] * 3, pa.float64()]
    kinds += [*[pa.int64()] * 3, pa.bool_(), pa.float64(), pa.bool_(), pa.int64(), pa.timestamp("us", tz="UTC")]
    assert kinds == found.schema.types
    assert [{name: getattr(each, name) for name in COLUMNS} for each in listed] == found.to_pylist()
    assert len(NASTY) == len(found.to_pandas())


@pytest.mark.parametrize("table", ["interactions", "content"])
@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_every_format_can_be_empty(
    asked: Client, table: str, form: ExportFormat, compression: ExportCompression
) -> None:
    """
    Without rows each file still opens, with its columns where it has any.
    """
    assert [] == opened(whole(asked, table, format=form, compression=compression), form, compression)


def test_what_is_compressed_by_itself_is_not_compressed_again(asked: Client) -> None:
    """
    A compression with Parquet, Arrow or XLSX is refused.
    """
    for form in (ExportFormat.PARQUET, ExportFormat.ARROW, ExportFormat.XLSX):
        with pytest.raises(InvalidArgument) as caught:
            whole(asked, "interactions", format=form, compression=ExportCompression.GZIP)
        assert ["compression"] == [each.field for each in caught.value.violations]


def test_without_pyarrow_the_extra_is_named(asked: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server that lacks pyarrow refuses Parquet and Arrow, and says what to install.
    """
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    for form in (ExportFormat.PARQUET, ExportFormat.ARROW):
        with pytest.raises(FailedPrecondition, match=r"steward-data\[parquet\]"):
            whole(asked, "interactions", format=form)


def test_a_workbook_takes_numbers_and_truth_values_as_such(filled: Client) -> None:
    """
    In XLSX numbers are numbers, booleans are booleans, and no text is a formula or a link.
    """
    content = whole(filled, "interactions", format=ExportFormat.XLSX, raw=True)
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    expected = objects(whole(filled, "interactions", format=ExportFormat.JSONL))

    for name in ("response_time_seconds", "response_length", "success", "follow_up_query"):
        column = COLUMNS.index(name)
        found = [row[column].value for row in sheet.iter_rows(min_row=2)]
        assert [None if each[name] is None else pytest.approx(each[name]) for each in expected] == found
    assert {"s"} == {each.data_type for each in sheet["F"]} | {each.data_type for each in sheet["A"]}


def test_a_text_too_long_for_a_cell_is_named(tmp_path: Path) -> None:
    """
    Row and column of a text that Excel cannot hold are named, and nothing is left of the scratch files.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        recorded(client, interaction(), interaction(query="x" * 32_768))
        with pytest.raises(InvalidArgument, match=r"row 2, column query, .* CSV") as caught:
            whole(client, "interactions", format=ExportFormat.XLSX)

        assert ["format"] == [each.field for each in caught.value.violations]
        assert [] == list((tmp_path / "scratch").iterdir())


def test_a_workbook_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    """
    Cancelled in the middle, the scratch files of an export go before the server stops.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        many(client, 500)
        with grpc.insecure_channel(server.target) as channel:
            request = export_pb2.ExportTableRequest(table="interactions", format=int(ExportFormat.XLSX))  # type: ignore[arg-type] # its number
            call = DataManagementServiceStub(channel).ExportTable(request)
            next(call)
            call.cancel()

    assert [] == list(tmp_path.glob("scratch/*"))


def test_a_cancelled_workbook_frees_its_scratch_in_a_second(tmp_path: Path) -> None:
    """
    Cancelled while its rows are written, the directory of a large workbook is gone within a second.
    """
    with Child("raw", str(tmp_path / "steward.db"), "1000") as raw:
        raw.ask("0 50000")
    scratch = tmp_path / "scratch"
    request = export_pb2.ExportTableRequest(table="interactions", format=int(ExportFormat.XLSX))  # type: ignore[arg-type] # its number
    with running_server(tmp_path) as server, grpc.insecure_channel(server.target) as channel:
        call = DataManagementServiceStub(channel).ExportTable(request)
        next(call)
        while not list(scratch.glob("*/*")):
            time.sleep(0.001)
        cancelled = time.monotonic()
        call.cancel()
        while list(scratch.glob("*")):
            time.sleep(0.001)
        took = time.monotonic() - cancelled

    assert took < 1.0


def test_scratch_files_of_a_crash_are_gone_at_start(tmp_path: Path) -> None:
    """
    What a killed server left in its scratch directory goes when it starts again; the directory is its owner's only.
    """
    left = tmp_path / "scratch" / "export-1"
    left.mkdir(parents=True)
    (left / "workbook.xlsx").write_bytes(b"half")

    with running_server(tmp_path) as server, Client(server.target) as client:
        gone = not left.exists()
        list(client.export_table("alerts", format=ExportFormat.XLSX))

        assert gone
        assert [] == list((tmp_path / "scratch").iterdir())
        assert 0o700 == (tmp_path / "scratch").stat().st_mode & 0o777


def test_sheets_go_on_in_a_next_one(tmp_path: Path) -> None:
    """
    More rows than a sheet takes are on several, each with the header.
    """
    book = Workbook(TABLES["alerts"].columns, name="alerts", scratch=tmp_path, sheet_rows=2)
    book.begin()
    rows = [(number, "r", "m", "GT", 0.5, 1.0, "HIGH", "t", None, number) for number in range(5)]
    book.add(Page(rows, len(rows), key=4))
    sheets = openpyxl.load_workbook(io.BytesIO(b"".join(book.end()))).worksheets

    assert [("alerts", 3), ("alerts 2", 3), ("alerts 3", 2)] == [(each.title, each.max_row) for each in sheets]
    assert ["alert_id", 4] == [each.value for each in sheets[2]["A"]]


def test_an_archive_says_what_is_in_it(filled: Client, tmp_path: Path) -> None:
    """
    Its report has the purpose, redacted, the period, and rows and digest of each file; its files are the exports.
    """
    until = datetime.now(UTC) + timedelta(days=1)
    content = b"".join(filled.export_compliance(since=NOON, until=until, purpose="Audit for jo@example.com"))
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        unpack(archive, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    names = ["interactions", "sessions", "metrics"]

    assert ("Audit for [EMAIL_REDACTED]", "1") == (report["purpose"], report["redaction_rules_version"])
    assert {"since": "2025-09-30T12:00:00.000000Z", "until": f"{until:%Y-%m-%dT%H:%M:%S.%fZ}"} == report["period"]
    assert [(f"{name}.csv", ROWS[name]) for name in names] == [(each["name"], each["rows"]) for each in report["files"]]
    for name, each in zip(names, report["files"], strict=True):
        found = (tmp_path / f"{name}.csv").read_bytes()
        assert whole(filled, name) == found
        assert (len(found), hashlib.sha256(found).hexdigest()) == (each["bytes"], each["sha256"])


def unpack(archive: tarfile.TarFile, into: Path) -> None:
    """Write the files of *archive*, which have no directories, into a directory. Python 3.11.2 has no filter for it."""
    for member in archive:
        content = archive.extractfile(member)
        assert content is not None
        assert Path(member.name).name == member.name
        (into / member.name).write_bytes(content.read())


def test_an_archive_checks_with_sha256sum(filled: Client, tmp_path: Path) -> None:
    """
    `sha256sum -c` finds each file of SHA256SUMS as it should be.
    """
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("sha256sum is not installed: the digests are not checked by another program")
    with tarfile.open(fileobj=io.BytesIO(b"".join(filled.export_compliance())), mode="r:gz") as archive:
        unpack(archive, tmp_path)

    done = subprocess.run([program, "-c", "SHA256SUMS"], capture_output=True, text=True, check=False, cwd=tmp_path)

    lines = [f"{name}: OK\n" for name in ("interactions.csv", "sessions.csv", "metrics.csv", "report.json")]
    assert (0, "".join(lines)) == (done.returncode, done.stdout)


def test_an_archive_can_be_empty_and_of_any_size(tmp_path: Path) -> None:
    """
    Without rows it has headers only, over many blocks it has all rows, and no scratch file is left.
    """
    for count in (0, 1000):
        with running_server(tmp_path) as server, Client(server.target) as client:
            many(client, count)
            content = b"".join(client.export_compliance())
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
                file = archive.extractfile("interactions.csv")
                assert file is not None
                assert count == len(cells(file.read()))
            assert [] == list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"since": NOON, "until": NOON}, ["until"]), ({"purpose": "x" * 1025}, ["purpose"])],
    ids=["window", "purpose"],
)
def test_an_archive_that_cannot_be_is_refused_by_field(
    asked: Client, fields: dict[str, Any], expected: list[str]
) -> None:
    """
    Each wrong field is named.
    """
    with pytest.raises(InvalidArgument) as caught:
        list(asked.export_compliance(**fields))

    assert expected == [each.field for each in caught.value.violations]


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
    for table in TABLES:
        count = len(objects(whole(client, table, format=ExportFormat.JSONL)))
        for form, compression in FORMS:
            assert count == len(opened(whole(client, table, format=form, compression=compression), form, compression))
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
