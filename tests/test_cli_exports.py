"""
`steward export`, run as its users run it: files that are whole or not there, and parts that are gone on with.
"""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from steward import Client
from stewardd.app import App
from stewardd.testing import running_server
from tests.samples import interaction, recorded
from tests.test_cli import PROGRAMS, run


def many(client: Client, count: int) -> bytes:
    """Record *count* interactions, and return them as CSV."""
    for start in range(0, count, 100):
        recorded(client, *(interaction(query=f"={number}: {'x' * 900}") for number in range(start, start + 100)))
    return b"".join(client.export_table("interactions"))


def names(directory: Path) -> list[str]:
    """Return what is in *directory*."""
    return sorted(each.name for each in directory.iterdir())


def export(
    server: App, directory: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `steward export` in *directory*."""
    command = [str(PROGRAMS / "steward"), "--target", server.target, "export", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, env=environment)


def test_a_file_gets_its_name_when_it_is_whole(server: App, client: Client, tmp_path: Path) -> None:
    """
    By default it is what the server calls it, here, for its owner only; a line says what it is.
    """
    content = many(client, 100)

    done = export(server, tmp_path, "interactions")

    digest = hashlib.sha256(content).hexdigest()
    assert (0, "") == (done.returncode, done.stderr)
    assert f"interactions.csv: 100 rows, {len(content)} bytes, SHA-256 {digest}\n" == done.stdout
    assert ["interactions.csv"] == names(tmp_path)
    assert content == (tmp_path / "interactions.csv").read_bytes()
    assert 0o600 == (tmp_path / "interactions.csv").stat().st_mode & 0o777


def test_the_suffix_says_the_format(server: App, client: Client, tmp_path: Path) -> None:
    """
    A name in .jsonl makes JSON Lines, in .csv CSV; --format says it otherwise; --json tells what was written.
    """
    many(client, 100)

    done = export(server, tmp_path, "table", "sessions", "--output", "a.jsonl", "--json")
    export(server, tmp_path, "table", "sessions", "--output", "b.txt", "--format", "jsonl", "--quiet")
    export(server, tmp_path, "table", "sessions", "--output", "c.txt", "--quiet")

    content = (tmp_path / "a.jsonl").read_bytes()
    assert {
        "file": "a.jsonl",
        "rows": 1,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    } == json.loads(done.stdout)
    assert content == (tmp_path / "b.txt").read_bytes()
    assert 100 == json.loads(content)["total_queries"]
    assert (tmp_path / "c.txt").read_bytes().startswith(b"session,user_role,")


def test_stdout_has_the_bytes_alone(server: App, client: Client, tmp_path: Path) -> None:
    """
    With --output - the file is what is printed.
    """
    content = many(client, 100)

    done = export(server, tmp_path, "interactions", "--output", "-")

    assert (0, "") == (done.returncode, done.stderr)
    assert content.decode().replace("\r\n", "\n") == done.stdout
    assert [] == names(tmp_path)


def test_progress_tells_rows(server: App, client: Client, tmp_path: Path) -> None:
    """
    On a terminal the progress of a table is in rows a second, resumed or not; stdout is as ever.
    """
    many(client, 1000)
    shown = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100"}  # as on a terminal

    done = export(server, tmp_path, "interactions", environment=shown)
    broken_off(server, tmp_path, at=500 * 1024, force=True)
    resumed = export(server, tmp_path, "interactions", "--resume", "--force", environment=shown)

    for each in (done, resumed):
        assert 0 == each.returncode
        assert re.search(r"exporting [0-9.]+/\? MB [1-9][0-9,]* rows/s", re.sub("\x1b[^m]*m", "", each.stderr))
        assert each.stdout.startswith("interactions.csv: 1000 rows, ")


def test_what_is_there_is_not_replaced_unless_forced(server: App, client: Client, tmp_path: Path) -> None:
    """
    A file that exists is refused in a line, and kept; --force replaces it.
    """
    content = many(client, 100)
    path = tmp_path / "interactions.csv"
    path.write_text("mine")

    refused = export(server, tmp_path, "interactions")
    kept = path.read_text()
    forced = export(server, tmp_path, "interactions", "--force")

    assert (1, "steward: interactions.csv is there already: --force replaces it\n") == (
        refused.returncode,
        refused.stderr,
    )
    assert "mine" == kept
    assert 0 == forced.returncode
    assert content == path.read_bytes()


def broken_off(server: App, directory: Path, *, at: int, force: bool = False) -> subprocess.CompletedProcess[str]:
    """Run an export that may write files of *at* bytes only."""
    command = f"{PROGRAMS / 'steward'} --target {server.target} export interactions{' --force' if force else ''}"
    script = f'trap "" XFSZ; ulimit -f {at // 1024}; exec {command}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, cwd=directory)


def test_a_broken_export_is_gone_on_with(server: App, client: Client, tmp_path: Path) -> None:
    """
    When the disk takes no more, the part stays with a line that says so; --resume makes it the whole file.
    """
    content = many(client, 1000)

    broken = broken_off(server, tmp_path, at=500 * 1024)
    left = names(tmp_path)
    note = json.loads((tmp_path / "interactions.csv.part.json").read_text())
    again = export(server, tmp_path, "interactions")
    many(client, 100)
    done = export(server, tmp_path, "interactions", "--resume")

    assert 1 == broken.returncode
    assert broken.stderr.endswith(
        "interactions.csv.part cannot be written: File too large; --resume goes on with what came\n"
    )
    assert ["interactions.csv.part", "interactions.csv.part.json"] == left
    assert hashlib.sha256(content[: note["bytes"]]).hexdigest() == note["sha256"]
    assert 0 < note["bytes"] < len(content)
    assert "of a broken export: --resume goes on with it, --force begins anew" in again.stderr
    assert (0, "") == (done.returncode, done.stderr)
    assert ["interactions.csv"] == names(tmp_path)
    assert content == (tmp_path / "interactions.csv").read_bytes()


def test_a_part_that_was_changed_is_refused(server: App, client: Client, tmp_path: Path) -> None:
    """
    --resume sees that the part is what the note beside it says, and takes off what came after the note.
    """
    content = many(client, 1000)
    broken_off(server, tmp_path, at=500 * 1024)
    part = tmp_path / "interactions.csv.part"
    good = part.read_bytes()
    part.write_bytes(b"X" + good[1:])

    changed = export(server, tmp_path, "interactions", "--resume")
    part.write_bytes(good + b"half a row")
    longer = export(server, tmp_path, "interactions", "--resume")

    assert (1, True) == (changed.returncode, "is not what interactions.csv.part.json says" in changed.stderr)
    assert 0 == longer.returncode
    assert content == (tmp_path / "interactions.csv").read_bytes()


def test_a_part_is_gone_on_with_by_the_same_options_only(server: App, client: Client, tmp_path: Path) -> None:
    """
    Another window refuses the token of the part, which stays.
    """
    many(client, 1000)
    broken_off(server, tmp_path, at=500 * 1024)

    done = export(server, tmp_path, "interactions", "--resume", "--since", "2020-01-01")

    assert (1, True) == (done.returncode, done.stderr.startswith("steward: resume_token: must be one"))
    assert ["interactions.csv.part", "interactions.csv.part.json"] == names(tmp_path)


def test_without_a_part_resume_begins(server: App, client: Client, tmp_path: Path) -> None:
    """
    A loop around --resume needs no first run of its own.
    """
    content = many(client, 100)

    assert 0 == export(server, tmp_path, "interactions", "--resume").returncode
    assert content == (tmp_path / "interactions.csv").read_bytes()


def test_a_reader_that_goes_away_is_a_line(server: App, client: Client) -> None:
    """
    A broken pipe is exit code 1 and one line.
    """
    many(client, 1000)
    command = [str(PROGRAMS / "steward"), "--target", server.target, "export", "interactions", "--output", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as exporting:
        assert exporting.stdout is not None
        assert exporting.stderr is not None
        exporting.stdout.close()
        complaints = exporting.stderr.read()

    assert (1, "steward: stdout cannot be written: Broken pipe\n") == (exporting.returncode, complaints)


BAD = [
    (["table", "nothing"], 1, "table: must be one of interactions, sessions"),
    (["table", "interactions", "--format", "word"], 2, "must be one of csv, jsonl"),
    (["table", "alert_rules", "--role", "Dev"], 1, "user_roles: must be empty"),
    (["interactions", "--output", "no/such/place.csv"], 1, "cannot be written: No such file or directory"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=str)
def test_what_cannot_be_exported_leaves_nothing(
    server: App, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    """
    A wrong option is a line, and no file.
    """
    done = export(server, tmp_path, *arguments)

    assert (code, True) == (done.returncode, message in done.stderr)
    assert "Traceback" not in done.stderr
    assert [] == names(tmp_path)


def test_a_server_that_is_away_leaves_nothing(tmp_path: Path) -> None:
    """
    Nothing is made before the server answers.
    """
    with running_server() as server:
        target = server.target

    done = run("--timeout", "1", "export", "interactions", "--output", str(tmp_path / "a.csv"), STEWARD_TARGET=target)

    assert 1 == done.returncode
    assert [] == names(tmp_path)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.zst", "a.json", "a.parquet", "a.arrow", "a.xlsx"])
def test_each_suffix_makes_its_kind_of_file(server: App, client: Client, tmp_path: Path, name: str) -> None:
    """
    A file begins as its suffix promises, and is what the client gets.
    """
    many(client, 100)
    magic = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd", "json": b"[", "parquet": b"PAR1", "xlsx": b"PK"}

    done = export(server, tmp_path, "interactions", "--output", name)

    assert (0, "") == (done.returncode, done.stderr)
    assert [name] == names(tmp_path)
    assert (tmp_path / name).read_bytes().startswith(magic.get(name.rpartition(".")[2], b"\xff\xff\xff\xff"))


def test_an_archive_is_written_like_a_table(server: App, client: Client, tmp_path: Path) -> None:
    """
    The archive for an auditor gets its name when it is whole, and is not replaced.
    """
    many(client, 100)

    done = export(server, tmp_path, "compliance", "--purpose", "audit", "--json")
    again = export(server, tmp_path, "compliance")

    assert (0, "") == (done.returncode, done.stderr)
    assert ("compliance.tar.gz", 101) == (json.loads(done.stdout)["file"], json.loads(done.stdout)["rows"])
    assert ["compliance.tar.gz"] == names(tmp_path)
    assert (1, "steward: compliance.tar.gz is there already: --force replaces it\n") == (again.returncode, again.stderr)
