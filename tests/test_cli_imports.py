"""
`steward import jsonl` and `csv`, run as their users run them.
"""

from pathlib import Path

from steward import Client
from stewardd.app import App
from tests.table_files import COLUMNS, as_csv, good, jsonl
from tests.test_cli import run, steward


def test_exported_files_are_imported_by_hand(server: App, client: Client, tmp_path: Path) -> None:
    """
    Both kinds are, from a file or the standard input; run again, nothing is stored twice.
    """
    lines, table = tmp_path / "i.jsonl", tmp_path / "i.csv"
    lines.write_bytes(jsonl(good(n) for n in range(1500)))
    table.write_bytes(as_csv(good(n, query="=1") for n in range(2000)))

    first = steward(server, "import", "jsonl", str(lines))
    second = steward(server, "import", "csv", str(table))
    again = steward(server, "import", "jsonl", "-", stdin=lines.read_text(encoding="utf-8"))
    raw = steward(server, "import", "csv", "-", "--raw", stdin=as_csv([good(9999, query="=1")]).decode())

    assert [(1500, 0), (500, 1500), (0, 1500), (1, 0)] == [
        (each["stored"], each["already_stored"]) for each in (first, second, again, raw)
    ]
    assert {"How?": 1500, "=1": 500, "'=1": 1} == {
        each.question: each.frequency
        for each in client.list_common_questions(since=client.get_session(session="ab" * 16).started_at).questions
    }


def test_bad_rows_are_told_by_hand(server: App, tmp_path: Path) -> None:
    """
    Good rows are kept and bad ones told with row and column, whoever found them, and the exit code is 1.
    """
    path = tmp_path / "i.jsonl"
    path.write_bytes(jsonl([good(1), good(2, success=5), good(3, user_rating=9.0), good(4)]))

    done = run("--target", server.target, "import", "jsonl", str(path))

    lines = [line.split() for line in done.stdout.splitlines()]
    assert (1, "read 4, stored 2, already there 0, rejected 2") == (done.returncode, done.stdout.splitlines()[0])
    assert ["interactions", "2", "success", "must", "be", "true", "or", "false"] in lines
    assert ["interactions", "3", "user_rating", "must", "be", "1", "to", "5"] in lines


def test_a_bad_header_is_told_in_a_line(server: App, client: Client, tmp_path: Path) -> None:
    """
    A column that misses is one error, and nothing is stored.
    """
    path = tmp_path / "i.csv"
    path.write_bytes(as_csv([good()], columns=COLUMNS[1:]))

    done = run("--target", server.target, "import", "csv", str(path))

    assert (1, "") == (done.returncode, done.stdout)
    assert f"steward: {path} cannot be imported: its header lacks interaction_id\n" == done.stderr
    assert [] == list(client.list_interactions())


def test_what_is_preserved_is_imported_by_hand(server: App, client: Client, tmp_path: Path) -> None:
    """
    With the fingerprint that info shows, a file is imported as it was recorded; with another it is refused.
    """
    lines, table = tmp_path / "i.jsonl", tmp_path / "i.csv"
    lines.write_bytes(jsonl([good(1, user_rating=2.0, rated_at="2025-10-01T00:00:00.000000Z")]))
    table.write_bytes(as_csv([good(2)]))
    fingerprint = steward(server, "info")["key_fingerprint"]

    other, wrong = (
        run("--target", server.target, "import", "csv", str(table), "--preserve", each) for each in ("0" * 32, "mine")
    )
    for form, path in (("jsonl", lines), ("csv", table)):
        steward(server, "import", form, str(path), "--preserve", fingerprint.upper())

    assert (1, 2) == (other.returncode, wrong.returncode)
    assert "another privacy key" in other.stderr
    assert [
        ("2025-09-30T12:00:01+00:00", "2025-10-01T00:00:00+00:00"),
        ("2025-09-30T12:00:01+00:00", "None"),
    ] == [
        (each.recorded_at.isoformat(), each.rated_at.isoformat() if each.rated_at else "None")
        for each in client.export_interactions()
    ]
