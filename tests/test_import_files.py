"""
Taking back what was exported as JSON Lines or CSV: every row as it was, or rejected by row and column.
"""

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
import zstandard

from steward import Client, FailedPrecondition, InvalidArgument, RecordedInteraction, codec
from steward.cli.importing import Reading
from steward.tables import COLUMNS as READ
from steward.tables import Source, csv_rows, jsonl_rows
from steward.types import FieldViolation, ImportedInteraction, ImportRejection, ImportReport
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.app import App
from stewardd.testing import running_server
from tests.samples import NOON, interaction, recorded
from tests.table_files import COLUMNS, as_csv, good, jsonl, row

KEY = "5a" * 32
QUESTIONS = (
    "How?",
    "=1+1",
    "'=1",
    "''@x",
    "'quoted",
    'a "b", c\r\nd\ne\rf',
    "\t-x",
    "",
    "+49 \uff1d \U0001f600 ü",
    " blanks ",
    "\u2028\x85\x1f",
)


def source(tmp_path: Path, content: bytes, name: str = "file.jsonl") -> Path:
    """Return the path of a file of *content*."""
    path = tmp_path / name
    path.write_bytes(content)
    return path


def read_jsonl(path: Path) -> list[Any]:
    """Return what is read of the JSON Lines at *path*."""
    with Source(path) as opened:
        return list(jsonl_rows(opened))


def read_csv(path: Path, *, raw: bool = False) -> list[Any]:
    """Return what is read of the CSV at *path*."""
    with Source(path) as opened:
        return list(csv_rows(opened, raw=raw))


def brought_in(client: Client, items: list[Any]) -> ImportReport:
    """Import *items*, those that are rejected apart."""
    return client.import_interactions(Reading(iter(items)).batches())


def fill(client: Client) -> None:
    """Record interactions with all that an export has to carry: odd text, what is not known, ratings, repeats."""
    recorded(
        client,
        *(
            interaction(session_id=f"s-{n % 3}", query=query or "x", occurred_at=NOON + timedelta(microseconds=n))
            for n, query in enumerate(QUESTIONS)
        ),
        interaction(response_time_seconds=None, response_length=None, success=None, query_type="", user_rating=4.5),
        interaction(response_time_seconds=0.1 + 0.2, success=False, follow_up_query=True, conversation_turn=7),
    )
    client.rate_interaction(next(client.list_interactions()).interaction_id, 2.0)


def kept(found: Iterator[RecordedInteraction]) -> list[RecordedInteraction]:
    """Return *found* as an import keeps it without being told to preserve when it was recorded and rated."""
    return [replace(each, recorded_at=NOON, rated_at=None) for each in found]


WAYS: list[tuple[Callable[[Any], bytes], Callable[[Path], list[Any]]]] = [
    (jsonl, read_jsonl),
    (as_csv, read_csv),
    (lambda rows: as_csv(rows, columns=COLUMNS[::-1]), read_csv),
    (lambda rows: as_csv(rows, raw=True), lambda path: read_csv(path, raw=True)),
    (lambda rows: b"\xef\xbb\xbf" + jsonl(rows), read_jsonl),
    (lambda rows: b"\xef\xbb\xbf" + as_csv(rows), read_csv),
]
IDS = ["jsonl", "csv", "columns in another order", "raw", "jsonl with a mark", "csv with a mark"]


@pytest.mark.parametrize(("write", "read"), WAYS, ids=IDS)
def test_what_was_exported_comes_back(
    tmp_path: Path, write: Callable[[Any], bytes], read: Callable[[Path], list[Any]]
) -> None:
    """
    In an empty store, all is there again in its order, under its ids and pseudonyms; a second time, nothing is stored.
    """
    with running_server() as server, Client(server.target) as client:
        fill(client)
        exported = list(client.export_interactions())
    items = read(source(tmp_path, write(map(row, exported))))
    with running_server() as server, Client(server.target) as client:
        first, again = (brought_in(client, items) for _ in range(2))
        found = list(client.export_interactions())

    assert kept(iter(exported)) == kept(iter(found))
    assert (len(exported), 0) == (first.stored, first.rejected)
    assert (0, len(exported)) == (again.stored, again.already_stored)


def test_the_columns_are_those_of_an_export() -> None:
    """
    What is read is what is written.
    """
    assert COLUMNS == tuple(READ)


@pytest.mark.parametrize(("write", "read"), [(jsonl, jsonl_rows), (as_csv, csv_rows)], ids=["jsonl", "csv"])
def test_what_is_preserved_is_the_same_to_the_byte(
    tmp_path: Path, write: Callable[[Any], bytes], read: Callable[..., Iterator[Any]]
) -> None:
    """
    Under the same key, an export of what was imported is the file again, with the same sessions and the same figures.
    """
    since = NOON - timedelta(days=1)
    with running_server(privacy_key=KEY) as server, Client(server.target) as client:
        fill(client)
        first = write(map(row, client.export_interactions()))
        sessions, summary, fingerprint = (
            list(client.list_sessions()),
            client.get_summary(since=since),
            client.get_server_info().key_fingerprint,
        )
    path = source(tmp_path, first)
    with running_server(privacy_key=KEY) as server, Client(server.target) as client:
        for _ in range(2):
            with Source(path) as opened:
                batches = Reading(read(opened, preserve=True)).batches()
                report = client.import_interactions(batches, preserve=fingerprint)
        again = write(map(row, client.export_interactions()))
        same = [client.get_session(session=each.session) for each in sessions]
        found = client.get_summary(since=since)

    assert first == again
    assert sessions == same
    assert (summary.interactions, summary.sessions) == (found.interactions, found.sessions)
    assert (0, len(QUESTIONS) + 2) == (report.stored, report.already_stored)


def preserved(number: int = 1, **changes: Any) -> ImportedInteraction:
    """Return an interaction to import as it was recorded an hour after noon, with *changes*."""
    item = ImportedInteraction(row=number, interaction=interaction(), recorded_at=NOON + timedelta(hours=1))
    return replace(item, **changes)


def test_what_was_recorded_under_another_key_is_not_preserved(client: Client) -> None:
    """
    Another fingerprint is FAILED_PRECONDITION, and nothing is stored.
    """
    with pytest.raises(FailedPrecondition) as caught:
        client.import_interactions([[preserved()]], preserve="0" * 32)

    assert "OTHER_KEY" == caught.value.reason
    assert [] == list(client.list_interactions())


def test_when_it_was_recorded_is_given_where_it_is_preserved(client: Client) -> None:
    """
    With a fingerprint it must be there, without one it must not, and it must be a time that can be kept.
    """
    fingerprint = client.get_server_info().key_fingerprint
    ancient = NOON.replace(year=1969)

    kept_ones = client.import_interactions(
        [[preserved(1), preserved(2, recorded_at=None), preserved(3, rated_at=ancient)]], preserve=fingerprint
    )
    others = client.import_interactions([[preserved(4), preserved(5, rated_at=NOON), preserved(6, recorded_at=None)]])

    assert (1, 1) == (kept_ones.stored, others.stored)
    assert [(2, ["recorded_at"]), (3, ["rated_at"]), (4, ["recorded_at"]), (5, ["recorded_at", "rated_at"])] == [
        (each.row, [violation.field for violation in each.violations])
        for each in (*kept_ones.rejections, *others.rejections)
    ]


def test_the_first_message_decides(server: App, client: Client) -> None:
    """
    What a later message names is not asked for: the whole stream preserves, or none of it.
    """
    fingerprint = client.get_server_info().key_fingerprint
    with grpc.insecure_channel(server.target) as channel:
        stub = DataManagementServiceStub(channel)
        first, second = ([preserved(1)], fingerprint), ([preserved(2)], "x")
        reports = [
            stub.ImportInteractions(codec.from_imported(batch, preserve=key) for batch, key in order)
            for order in ((first, second), (([], ""), first))
        ]

    assert [(2, 0), (0, 1)] == [(each.stored + each.already_stored, each.rejected) for each in reports]


def test_live_records_go_on_behind_what_was_preserved(client: Client) -> None:
    """
    Sequence numbers stand in the order of the file, twice in a batch is once, and the next record is behind them.
    """
    items = [preserved(number) for number in range(5)]
    fingerprint = client.get_server_info().key_fingerprint

    report = client.import_interactions([[*items, items[0]]], preserve=fingerprint)
    (receipt,) = recorded(client, interaction())

    found = list(client.export_interactions())
    assert (5, 1, 6) == (report.stored, report.already_stored, receipt.seq)
    assert [each.interaction.interaction_id for each in items] == [each.interaction_id for each in found[:5]]
    assert {NOON + timedelta(hours=1)} == {each.recorded_at for each in found[:5]}
    assert 6 == client.get_session(session_id="session-1").total_queries


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("file.jsonl", lambda content: content),
    ("file.jsonl.gz", gzip.compress),
    ("file.jsonl.gz", lambda content: gzip.compress(content[:100]) + gzip.compress(content[100:])),
    ("file.jsonl.zst", zstandard.compress),
    ("file.jsonl.zst", lambda content: zstandard.compress(content[:100]) + zstandard.compress(content[100:])),
]


@pytest.mark.parametrize(("name", "pack"), PACKED, ids=["plain", "gzip", "gzips", "zstd", "zstds"])
def test_a_packed_file_is_unpacked(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    """
    By its suffix, in however many parts it was packed; how far it is read is told of the file as it lies there.
    """
    path = source(tmp_path, pack(jsonl(good(n) for n in range(2000))), name)

    with Source(path) as opened:
        items = list(jsonl_rows(opened))
        assert (path.stat().st_size, path.stat().st_size) == (opened.size, opened.done())

    assert [*range(1, 2001)] == [each.row for each in items]
    assert {ImportedInteraction} == {type(each) for each in items}


BROKEN = [
    ("file.jsonl.gz", lambda content: gzip.compress(content)[:-20], "is truncated"),
    ("file.jsonl.gz", lambda _: b"no gzip", "is damaged"),
    ("file.jsonl.zst", lambda content: zstandard.compress(content)[:-3], "is truncated"),
    ("file.jsonl.zst", lambda _: b"no zstd", "is damaged"),
]


@pytest.mark.parametrize(("name", "pack", "why"), BROKEN)
def test_a_file_that_cannot_be_unpacked_is_an_error(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes], why: str
) -> None:
    """
    Truncated or damaged, it is not taken for its beginning.
    """
    path = source(tmp_path, pack(jsonl(good(n) for n in range(500))), name)

    with pytest.raises(InvalidArgument, match=why):
        read_jsonl(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """
    Neither is a directory a file.
    """
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidArgument, match="cannot be read"):
            Source(path)


BAD_CELLS = [
    ("interaction_id", 5, "must be text"),
    ("query", "\ud800", "must be text in UTF-8"),
    ("occurred_at", None, "must be given"),
    ("occurred_at", "2025-09-30T12:00:00", "must be a time with its zone, such as 2025-09-30T12:00:00.000000Z"),
    ("occurred_at", 5, "must be a time with its zone, such as 2025-09-30T12:00:00.000000Z"),
    ("occurred_at", "0001-01-01T00:00:00+10:00", "must be a time with its zone, such as 2025-09-30T12:00:00.000000Z"),
    ("response_time_seconds", "1.5", "must be a number"),
    ("response_time_seconds", True, "must be a number"),
    ("response_time_seconds", 10**400, "must be a finite number"),
    ("response_length", 1.5, "must be a whole number of 64 bits"),
    ("response_length", 2**63, "must be a whole number of 64 bits"),
    ("code_snippets_shown", None, "must be given"),
    ("success", 1, "must be true or false"),
    ("follow_up_query", "true", "must be true or false"),
    ("conversation_turn", True, "must be a whole number of 64 bits"),
]


@pytest.mark.parametrize(("column", "value", "rule"), BAD_CELLS)
def test_a_bad_value_of_json_is_rejected(tmp_path: Path, column: str, value: Any, rule: str) -> None:
    """
    By the number of its line and its column; the rows around it are read.
    """
    rows = [good(1), good(2, **{column: value}), good(3)]
    content = "".join(json.dumps(each) + "\n" for each in rows).encode()

    first, second, third = read_jsonl(source(tmp_path, content))

    assert (ImportedInteraction, ImportedInteraction) == (type(first), type(third))
    assert (2, [(column, rule)]) == (second.row, [(each.field, each.rule) for each in second.violations])


BAD_SPELLINGS = [
    ("query", "\udcff", "must be text in UTF-8"),
    ("occurred_at", "", "must be given"),
    ("occurred_at", "yesterday", "must be a time with its zone, such as 2025-09-30T12:00:00.000000Z"),
    ("response_time_seconds", "nan", "must be a number"),
    ("response_time_seconds", "1_0", "must be a number"),
    ("response_length", "1.0", "must be a whole number of 64 bits"),
    ("response_length", "9223372036854775808", "must be a whole number of 64 bits"),
    ("success", "1", "must be true or false"),
    ("conversation_turn", "", "must be given"),
]


@pytest.mark.parametrize(("column", "value", "rule"), BAD_SPELLINGS)
def test_a_bad_cell_of_csv_is_rejected(tmp_path: Path, column: str, value: str, rule: str) -> None:
    """
    By the number of its row behind the header and its column; the rows around it are read.
    """
    text = as_csv([good(1), good(2, **{column: "<here>"}), good(3)])

    first, second, third = read_csv(source(tmp_path, text.replace(b"<here>", value.encode(errors="surrogateescape"))))

    assert (ImportedInteraction, ImportedInteraction) == (type(first), type(third))
    assert (2, [(column, rule)]) == (second.row, [(each.field, each.rule) for each in second.violations])


def test_truths_may_be_shouted(tmp_path: Path) -> None:
    """
    TRUE and FALSE, as spreadsheets write them, are true and false.
    """
    (item,) = read_csv(source(tmp_path, as_csv([good(success="TRUE", follow_up_query="FALSE")])))

    assert (True, False) == (item.interaction.success, item.interaction.follow_up_query)


BAD_LINES = [
    (b"[1]\n", "row", "must be a JSON object"),
    (b"{\n", "row", "must be a JSON object"),
    (b"[" * 100_000 + b"\n", "row", "must be a JSON object"),
    (b"\xff\n", "row", "must be UTF-8"),
    (b'{"x": "' + b"y" * 3 * 2**20 + b'"}\n', "row", "must be at most 1 MiB"),
    (json.dumps({**good(), "extra\n": 1}).encode() + b"\n", "extra\\n", "is not a column of interactions"),
    (
        json.dumps({name: value for name, value in good().items() if name != "query"}).encode() + b"\n",
        "query",
        "must be there",
    ),
]


@pytest.mark.parametrize(("line", "field", "rule"), BAD_LINES, ids=lambda each: str(each)[:20])
def test_a_bad_line_is_rejected(tmp_path: Path, line: bytes, field: str, rule: str) -> None:
    """
    A line that is no object, too long, or with other columns is rejected by its number; blank ones are nothing.
    """
    content = jsonl([good(1)]) + b"\n" + line + jsonl([good(2)])

    first, second, third = read_jsonl(source(tmp_path, content))

    assert (1, 4) == (first.row, third.row)
    assert (3, [(field, rule)]) == (second.row, [(each.field, each.rule) for each in second.violations])


BAD_HEADERS = [
    (COLUMNS[1:], "its header lacks interaction_id"),
    ((*COLUMNS, "extra", "more"), "its header has what is no column of interactions: extra, more"),
    ((*COLUMNS, "query"), "its header repeats query"),
]


@pytest.mark.parametrize(("columns", "why"), BAD_HEADERS)
def test_a_header_that_does_not_fit_is_one_error(tmp_path: Path, columns: tuple[str, ...], why: str) -> None:
    """
    It names the columns in question, before a row is read.
    """
    content = as_csv([{**good(), "extra": 1, "more": 2}], columns=columns)

    with pytest.raises(InvalidArgument, match=why):
        read_csv(source(tmp_path, content))


def test_when_it_was_recorded_need_not_be_there(tmp_path: Path) -> None:
    """
    What the server says anew may be left out.
    """
    columns = [name for name in COLUMNS if name not in ("recorded_at", "rated_at")]

    (item,) = read_csv(source(tmp_path, as_csv([good()], columns=columns)))

    assert isinstance(item, ImportedInteraction)


NO_CSV = [
    (b'"a"b' + as_csv([good()]), "at its line 1"),
    (as_csv([good()]) + b'"open', "at its line 3"),
    (as_csv([good()]) + b"x" * 2 * 2**20, "its line 3 is longer than 1 MiB"),
    (b"", "lacks interaction_id"),
]


@pytest.mark.parametrize(("content", "why"), NO_CSV, ids=["quotes", "open", "long", "empty"])
def test_what_is_no_csv_is_an_error(tmp_path: Path, content: bytes, why: str) -> None:
    """
    Where nobody knows any more where a row begins, it ends, and the line is named.
    """
    with pytest.raises(InvalidArgument, match=why):
        read_csv(source(tmp_path, content))


def test_a_row_of_another_length_is_rejected(tmp_path: Path) -> None:
    """
    A row with more or fewer cells than the header is rejected; an empty line is none.
    """
    first, *others = read_csv(source(tmp_path, as_csv([good(1)]) + b"a,b\r\n\r\nc\r\n"))

    rule = "must have 16 cells, as the header has, not {}"
    assert isinstance(first, ImportedInteraction)
    assert [
        ImportRejection(number, (FieldViolation("row", rule.format(cells)),)) for number, cells in ((2, 2), (3, 1))
    ] == others


def test_batches_have_a_size(client: Client, tmp_path: Path) -> None:
    """
    However long the questions are, a batch is one that the server takes.
    """
    items = read_jsonl(source(tmp_path, jsonl(good(n, query="ü" * 30_000) for n in range(150))))

    assert 150 == brought_in(client, items).stored


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """
    However much a file unpacks to, only the row that is read is held.
    """
    path = source(tmp_path, zstandard.compress(jsonl([good()]) * 200_000), "file.jsonl.zst")
    tracemalloc.start()

    with Source(path) as opened:
        count = sum(1 for _ in islice(jsonl_rows(opened), 20_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 20_000 == count
    assert 24 * 2**20 > peak
