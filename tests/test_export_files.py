"""
What the client makes of an export of interactions: values, a table of Arrow, or a file that is whole or not there.
"""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from steward import (
    AsyncClient,
    Client,
    ExportFormat,
    FailedPrecondition,
    InteractionFilter,
    InvalidArgument,
    RecordedInteraction,
    StreamTruncated,
)
from steward.arrow import GROUP_ROWS
from steward.client_export import InteractionExport
from steward.columns import KINDS
from steward.v1 import export_pb2
from stewardd.app import App
from stewardd.testing import running_server, wait
from tests.samples import NOON, interaction, laid_out, recorded
from tests.test_export_tables import NASTY

SUFFIXES = {
    ".jsonl": ExportFormat.JSONL,
    ".csv": ExportFormat.CSV,
    ".parquet": ExportFormat.PARQUET,
    ".arrow": ExportFormat.ARROW,
}
NOTHING: dict[str, Any] = {"response_time_seconds": None, "response_length": None, "success": None}
ROW = (1, bytes(16), "s", 0, 0, "Dev", "How?", "", None, None, 0, 0, None, None, 0, 1, None)


def fill(client: Client) -> None:
    """Record what is hard to spell, and 1500 plain ones, which are two batches."""
    for number, text in enumerate(NASTY):
        unknown = NOTHING if number % 2 else {"response_time_seconds": 5e-324 * number, "success": number % 4 == 0}
        recorded(client, interaction(query=text, user_role=text, occurred_at=NOON - timedelta(number, 0, 1), **unknown))
    for _ in range(15):
        recorded(client, *(interaction(follow_up_query=True) for _ in range(100)))
    client.rate_interaction(next(client.export_interactions()).interaction_id, 4.5)


@pytest.fixture(scope="module")
def filled() -> Iterator[Client]:
    """A client of a server with what is hard to spell."""
    with running_server(alert_seconds=3600.0) as running, Client(running.target) as connected:
        fill(connected)
        yield connected


def names(directory: Path) -> list[str]:
    """Return what is in *directory*."""
    return sorted(each.name for each in directory.iterdir())


def read(path: Path) -> Any:
    """Return the file *path* of Parquet or Arrow as a table."""
    return parquet.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_stream(path.read_bytes()).read_all()


def test_a_table_has_every_value(filled: Client) -> None:
    """
    By to_arrow each field of each interaction comes, typed, null where unset, in the order of arrival.
    """
    expected = list(filled.export_interactions())

    table = filled.export_interactions().to_arrow()

    assert [{name: getattr(each, name) for name in KINDS} for each in expected] == table.to_pylist()
    assert {
        "seq": pa.int64(),
        "interaction_id": pa.string(),
        "session": pa.string(),
        **dict.fromkeys(("occurred_at", "recorded_at"), pa.timestamp("us", tz="UTC")),
        **dict.fromkeys(("user_role", "query", "query_type"), pa.string()),
        "response_time_seconds": pa.float64(),
        **dict.fromkeys(("response_length", "code_snippets_shown", "citations_provided"), pa.int64()),
        "success": pa.bool_(),
        "user_rating": pa.float64(),
        "follow_up_query": pa.bool_(),
        "conversation_turn": pa.int64(),
        "rated_at": pa.timestamp("us", tz="UTC"),
    } == dict(zip(table.schema.names, table.schema.types, strict=True))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_typed_file_is_the_one_of_the_server(filled: Client, tmp_path: Path, suffix: str) -> None:
    """
    In Parquet and Arrow a file has the schema and the rows of the table of interactions.
    """
    path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    other.write_bytes(b"".join(filled.export_table("interactions", format=SUFFIXES[suffix])))

    rows = filled.export_interactions().to_file(path)

    assert 1500 + len(NASTY) == rows == read(path).num_rows
    assert read(other) == read(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_of_text_is_the_one_of_the_server(filled: Client, tmp_path: Path, suffix: str) -> None:
    """
    In CSV and JSON Lines a file has the rows of the table of interactions, cell by cell, in the same order.
    """
    expected = values(b"".join(filled.export_table("interactions", format=SUFFIXES[suffix])), suffix)
    path = tmp_path / f"a{suffix}"

    rows = filled.export_interactions().to_file(str(path))

    assert 1500 + len(NASTY) == rows
    assert expected == values(path.read_bytes(), suffix)
    assert 0o600 == path.stat().st_mode & 0o777


def values(content: bytes, suffix: str) -> list[Any]:
    """Return the rows of a file, numbers as numbers: the same one can be spelled in several ways."""
    if suffix == ".jsonl":
        return [list(json.loads(line).items()) for line in content.decode().split("\n")[:-1]]
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    numbers = [name in ("response_time_seconds", "user_rating") for name in header]
    return [
        header,
        *(
            [float(cell) if cell and number else cell for cell, number in zip(row, numbers, strict=True)]
            for row in rows
        ),
    ]


def test_the_asynchronous_client_does_it_too(server: App, client: Client, tmp_path: Path) -> None:
    """
    Iterated over, as a table and as a file, an export of AsyncClient is that of Client, of what is chosen only.
    """
    recorded(client, *(interaction(user_role=role) for role in ("a", "b", "a")))
    chosen = InteractionFilter(user_roles=("a",))

    async def take() -> tuple[list[RecordedInteraction], RecordedInteraction, Any, int]:
        async with AsyncClient(server.target) as other:
            return (
                [each async for each in other.export_interactions(chosen)],
                await anext(other.export_interactions(chosen)),
                await other.export_interactions(chosen).to_arrow(),
                await other.export_interactions(chosen).to_file(tmp_path / "a.csv"),
            )

    values, first, table, rows = wait(take())

    assert list(client.export_interactions(chosen)) == values
    assert (values[0], 2, 2) == (first, table.num_rows, rows)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [each.interaction_id for each in values] == [row["interaction_id"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_empty_is_a_file_too(asked: Client, tmp_path: Path, suffix: str) -> None:
    """
    Of no interactions, a file is what the server makes of none, and a table has its columns.
    """
    path = tmp_path / f"a{suffix.upper()}"

    rows = asked.export_interactions().to_file(path)

    assert 0 == rows
    if suffix in (".csv", ".jsonl"):
        assert b"".join(asked.export_table("interactions", format=SUFFIXES[suffix])) == path.read_bytes()
    else:
        assert asked.export_interactions().to_arrow().drop_columns("seq") == read(path.rename(tmp_path / f"b{suffix}"))


def test_row_groups_are_large_and_bounded(tmp_path: Path) -> None:
    """
    Parquet of many batches has few row groups, none much over the bound.
    """
    InteractionExport(laid_out([ROW] * 1000) for _ in range(70)).to_file(tmp_path / "a.parquet")

    groups = parquet.ParquetFile(tmp_path / "a.parquet").metadata
    sizes = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
    assert [33_000, 33_000, 4000] == sizes
    assert GROUP_ROWS + 1000 > max(sizes)


def test_an_export_is_taken_once(filled: Client, tmp_path: Path) -> None:
    """
    Begun, an export goes on where it is, and refuses to be a table or a file, as those would lack what came.
    """
    begun, done = filled.export_interactions(), filled.export_interactions()
    first, second = next(begun), next(begun)
    rest = list(begun)
    done.to_arrow()

    assert list(filled.export_interactions()) == [first, second, *rest]
    assert [] == list(begun)
    for take in (begun.to_arrow, lambda: begun.to_file(tmp_path / "a.csv"), lambda: next(done), done.to_arrow):
        with pytest.raises(FailedPrecondition, match="was begun"):
            take()
    assert [] == names(tmp_path)


def test_nothing_is_asked_for_before_it_is_taken(client: Client) -> None:
    """
    What is recorded after the call, and before the first is taken, is in it.
    """
    export = client.export_interactions()
    recorded(client, interaction())

    assert 1 == len(list(export))


def test_another_suffix_is_refused(asked: Client, tmp_path: Path) -> None:
    """
    The suffixes that there are are named, and nothing is made.
    """
    for name in ("a.txt", "a", "a.csv.gz", ".csv"):
        with pytest.raises(
            InvalidArgument, match=r"must end in one of \.arrow, \.csv, \.jsonl, \.parquet, not as"
        ) as caught:
            asked.export_interactions().to_file(tmp_path / name)
        assert ["path"] == [each.field for each in caught.value.violations]
    assert [] == names(tmp_path)


def test_what_is_there_is_kept_unless_forced(filled: Client, tmp_path: Path) -> None:
    """
    A file that exists, or a link that leads nowhere, is refused and kept; by force it is replaced.
    """
    path, link = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_text("mine")
    link.symlink_to("nowhere")

    for each in (path, link):
        with pytest.raises(FailedPrecondition, match=f"{each.name} is there already: force=True replaces it"):
            filled.export_interactions().to_file(each)
    kept = path.read_text()
    rows = filled.export_interactions().to_file(path, force=True)

    assert "mine" == kept
    assert rows == path.read_bytes().count(b"\n") == 1500 + len(NASTY)
    assert ["a.jsonl", "b.jsonl"] == names(tmp_path)


def test_a_place_that_is_none_is_an_error_of_ours(filled: Client, tmp_path: Path) -> None:
    """
    Where nothing can be written a line says where and why.
    """
    with pytest.raises(Exception, match=r"no/a\.csv cannot be written: No such file or directory") as caught:
        filled.export_interactions().to_file(tmp_path / "no/a.csv")

    assert "steward.errors" == type(caught.value).__module__


FULL = """
import resource, signal, sys
from steward import Client, Error
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
with Client(sys.argv[1]) as client:
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, limits[1]))
    try:
        client.export_interactions().to_file(sys.argv[2], force=True)
    except Error as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)  # what measures coverage writes at the end
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_takes_no_more_leaves_nothing(filled: Client, tmp_path: Path, suffix: str) -> None:
    """
    A file that cannot be written to its end is an error and gone, and what was there before stays.
    """
    path = tmp_path / f"a{suffix}"
    path.write_text("before")

    done = subprocess.run(
        [sys.executable, "-c", FULL, filled.target, str(path)], capture_output=True, text=True, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert f"{path} cannot be written: File too large\n" == done.stdout
    assert ("before", [path.name]) == (path.read_text(), names(tmp_path))


def test_an_export_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    """
    When the stream ends in the middle for good, the file that was begun is gone, in every format.
    """

    def broken() -> Iterator[export_pb2.InteractionColumns]:
        yield laid_out([ROW] * 1000)
        assert [".steward-"] == [name[:9] for name in names(tmp_path)]
        raise StreamTruncated("it ended")

    for suffix in SUFFIXES:
        with pytest.raises(StreamTruncated):
            InteractionExport(broken()).to_file(tmp_path / f"a{suffix}")
        assert [] == names(tmp_path)


def test_without_pyarrow_the_extra_is_named(filled: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where pyarrow lacks, to_arrow and files of it say what to install, and files of text are written.
    """
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    for name in ("a.parquet", "a.arrow"):
        with pytest.raises(FailedPrecondition, match=r"pip install 'steward-data\[parquet\]'"):
            filled.export_interactions().to_file(tmp_path / name)
    with pytest.raises(FailedPrecondition, match=r"pip install 'steward-data\[parquet\]'"):
        filled.export_interactions().to_arrow()
    assert filled.export_interactions().to_file(tmp_path / "a.csv") == len(list(filled.export_interactions()))
    assert ["a.csv"] == names(tmp_path)


def test_importing_the_client_brings_no_pyarrow() -> None:
    """
    Who does not ask for Arrow does not wait for it.
    """
    script = "import sys, steward; sys.exit('pyarrow' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", script], check=False).returncode
