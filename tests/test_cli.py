"""
The command lines, run as their users run them.
"""

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from steward import Client, ids
from steward.cli import show
from steward.cli.interactions import COLUMNS
from stewardd.app import App
from stewardd.testing import Daemon, running_server
from tests.legacy_files import legacy_file
from tests.samples import interaction, recorded

PROGRAMS = Path(sys.executable).parent


def run(
    *arguments: str, program: str = "steward", stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the *program* to its end."""
    return subprocess.run(
        [str(PROGRAMS / program), *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        check=False,
        env={**os.environ, **environment},
    )


def steward(server: App, *arguments: str, **options: str) -> Any:
    """Run a command that must succeed, and return its JSON document."""
    done = run(*arguments, "--json", STEWARD_TARGET=server.target, **options)
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


def test_recording_and_asking_by_hand(server: App) -> None:
    """
    What is recorded on the command line is rated, shown, listed and summed up there, as JSON with the .proto's names.
    """
    options = ("--session-id", "s-1", "--role", "Dev", "--query", "-", "--response-time", "2.5", "--citations", "1")
    receipt = steward(server, "record", *options, "--occurred-at", "2025-09-30T12:00+02:00", stdin="Am I a@b.io?")
    identity = receipt["interaction_id"]

    assert (1, {"EMAIL": 1}, False) == (receipt["seq"], receipt["redactions"], receipt["already_stored"])
    assert 4.5 == steward(server, "rate", identity, "4.5")["user_rating"]
    found = steward(server, "get", identity)
    assert ("Am I [EMAIL_REDACTED]?", "2025-09-30T10:00:00Z", None) == (
        found["query"],
        found["occurred_at"],
        found["response_length"],
    )
    assert [found] == steward(server, "list", "--role", "Dev", "--min-rating", "4")["interactions"]
    assert [] == steward(server, "list", "--failure")["interactions"]
    session = steward(server, "session", "s-1")
    assert (1, 2.5, 4.5) == (session["total_queries"], session["mean_response_time_seconds"], session["mean_rating"])
    assert session == steward(server, "session", "--pseudonym", session["session"])
    assert [session] == steward(server, "sessions", "--since", "2025-09-30")["sessions"]
    summary = steward(server, "summary", "--since", "2025-09-30", "--until", "2025-10-01")
    assert (1, 1) == (summary["interactions"]["total"], summary["sessions"]["total"])
    assert "OK" == steward(server, "health")["status"]
    assert 1000 == steward(server, "info")["limits"]["batch_size"]


def test_people_get_tables(server: App, client: Client) -> None:
    """
    Without --json each command prints what it found, readably, and what a user wrote is not taken for markup.
    """
    receipt, _ = recorded(client, interaction(query="[bold]stay[/bold]"), interaction())
    commands = {
        ("list",): "[bold]stay[/bold]",
        ("get", receipt.interaction_id): receipt.session,
        ("session", "session-1"): "total queries",
        ("sessions",): receipt.session,
        ("summary", "--since", "2025-01-01"): "success rate",
        ("health",): "what is acknowledged is on disk",
        ("info",): "redaction rules version",
        ("record", "--session-id", "s", "--role", "r", "--query", "q"): "On disk",
        ("rate", receipt.interaction_id, "3"): "Rated",
    }

    for command, expected in commands.items():
        done = run("--target", server.target, *command)
        assert (0, "") == (done.returncode, done.stderr)
        assert expected in done.stdout


@pytest.mark.parametrize("width", [200, 100, 80, 70])
def test_no_screen_is_too_narrow_to_show_all(width: int, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where a table has no room its fields stand below each other: on no screen a name or a value is cut off.
    """
    receipt, _ = recorded(client, interaction(user_role="Hiring Manager"), interaction(response_time_seconds=0.00002))
    screen = Console(width=width, file=StringIO())
    monkeypatch.setattr(show, "console", screen)

    show.rows(client.list_interactions(), title="All", columns=COLUMNS)
    show.rows([], title="None", columns=COLUMNS)

    shown = screen.file.getvalue()  # type: ignore[attr-defined] # a StringIO
    assert "\u2026" not in shown
    for text in (receipt.interaction_id, "2025-09-30 12:00:00", "Hiring Manager", "0.00002", "success", "none"):
        assert text in shown
    assert all(len(line) <= width for line in shown.splitlines())


FAILURES = [
    (("get", "no-id"), 1, "interaction_id: must be a UUIDv7"),
    (("get", ids.mint()), 1, "no interaction has this id"),
    (("rate", ids.mint(), "9"), 1, "user_rating: must be 1 to 5"),
    (("record", "--session-id", "s", "--role", "r", "--query", ""), 1, "interaction.query: must be 1 to"),
    (("summary", "--since", "2025-02-01", "--until", "2025-01-01"), 1, "until: must be later than since"),
    (("import", "legacy", "/nowhere.db"), 1, "/nowhere.db cannot be read"),
    (("summary", "--since", "yesterday"), 2, "must be an ISO 8601 time"),
    (("import", "legacy", "--time-zone", "Mars/Base", "x.db"), 2, "must be a time zone of the IANA database"),
    (("list", "--limit", "0"), 2, "--limit"),
    (("--timeout", "0", "list"), 2, "must be more than 0 seconds"),
    (("--target", "127.0.0.1:1", "info"), 1, "the server cannot be reached: is stewardd running there?"),
    (("--timeout", "0.00001", "info"), 1, "no answer within the time given"),
    (("list", "--session-id", "s", "--session", "ab" * 8), 2, "both name a session"),
    (("guess",), 2, "guess"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), FAILURES)
def test_what_goes_wrong_is_told_in_a_line(server: App, arguments: tuple[str, ...], code: int, message: str) -> None:
    """
    A failure is one line and exit code 1; wrong usage is exit code 2; nothing is printed as if it had worked.
    """
    done = run("--target", server.target, *arguments)

    assert (code, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert code == 2 or 1 == done.stderr.count("\n")


def test_the_predecessors_file_is_imported_by_hand(server: App, tmp_path: Path) -> None:
    """
    Read, stored, already there, rejected and skipped are told; run again, nothing is stored twice; a bad row is exit 1.
    """
    good = legacy_file(tmp_path / "good.db.gz", *({"query": f"question {n}"} for n in range(2500)))
    bad = legacy_file(tmp_path / "bad.db", {"timestamp": "never"}, {"user_rating": 9}, {"query": "fine"})

    first, again = (steward(server, "import", "legacy", str(good)) for _ in range(2))
    done = run("--target", server.target, "import", "legacy", str(bad))

    assert (2500, 2500, 0) == (first["read"], first["stored"], first["rejected"])
    assert (2500, 0, 2500) == (again["read"], again["stored"], again["already_stored"])
    assert ["data_retention_policy", "query_performance"] == [each["table"] for each in first["skipped_tables"]]
    assert 1 == done.returncode
    assert "read 3, stored 1, already there 0, rejected 2" in done.stdout
    assert all(reason in done.stdout for reason in ("must be an ISO 8601 time", "user_rating must be 1 to 5"))


def test_all_tables_of_the_predecessors_file_are_imported_by_hand(server: App, tmp_path: Path) -> None:
    """
    What became of each table is told, what was rejected by whom, and what was skipped with its reason.
    """
    rated: list[dict[str, Any]] = [
        {"session_rating": 5},
        {"session_id": "ab" * 8},
        {"session_id": "cd" * 8, "session_rating": 1},
    ]
    path = legacy_file(
        tmp_path / "file.db",
        {},
        {"timestamp": "never"},
        content_analytics=[{}, {"access_count": -1}, {"last_accessed": "never"}],
        business_metrics=[{}],
        query_performance=[{}],
        system_performance=[{"timestamp": "never"}],
        session_analytics=rated,
    )

    done = run("import", "legacy", str(path), "--json", STEWARD_TARGET=server.target)
    told = run("--target", server.target, "import", "legacy", str(path), "--time-zone", "Europe/Berlin")

    report = json.loads(done.stdout)
    assert (1, 1) == (done.returncode, told.returncode)
    assert (15, 10, 0, 5) == tuple(report[name] for name in ("read", "stored", "already_stored", "rejected"))
    assert [
        {"table": "interactions", "read": 2, "stored": 1, "already_stored": 0, "rejected": 1},
        {"table": "content_accesses", "read": 3, "stored": 1, "already_stored": 0, "rejected": 2},
        {"table": "business_metrics", "read": 7, "stored": 7, "already_stored": 0, "rejected": 0},
        {"table": "metrics", "read": 1, "stored": 0, "already_stored": 0, "rejected": 1},
        {"table": "sessions", "read": 2, "stored": 1, "already_stored": 0, "rejected": 1},
    ] == report["tables"]
    assert [
        ("interactions", 2, "occurred_at"),
        ("content_accesses", 2, "accesses"),
        ("content_accesses", 3, "occurred_at"),
        ("metrics", 1, "occurred_at"),
        ("sessions", 3, "session"),
    ] == [(each["table"], each["row"], each["violations"][0]["field"]) for each in report["rejections"]]
    assert [
        {"table": "data_retention_policy", "rows": 0, "reason": "retention is the server's to say"},
        {"table": "query_performance", "rows": 1, "reason": "derived from interactions"},
        {
            "table": "session_analytics",
            "rows": 1,
            "reason": "derived from interactions, with neither rating nor conversion",
        },
    ] == report["skipped_tables"]
    lines = [line.split() for line in told.stdout.splitlines()]
    assert "read 15, stored 0, already there 10, rejected 5" in told.stdout
    assert ["business_metrics", "7", "0", "7", "0"] in lines
    assert ["metrics", "1", "occurred_at", "must", "be", "an", "ISO", "8601", "time"] in lines
    assert ["query_performance", "1", "derived", "from", "interactions"] in lines


def test_health_has_the_exit_codes_of_grpc_health_probe(tmp_path: Path) -> None:
    """
    0 when it serves, 2 when nobody is there.
    """
    with running_server(tmp_path) as server:
        serving = run("--target", server.target, "health")
        target = server.target
    away = run("--target", target, "health", "--wait", "0.3")

    assert (0, 2) == (serving.returncode, away.returncode)
    assert "is stewardd running there?" in away.stderr


def test_health_waits_for_a_server_to_come(tmp_path: Path) -> None:
    """
    --wait returns as soon as the server serves.
    """
    with Daemon(tmp_path) as daemon:
        target = daemon.target
    waiting = subprocess.Popen(
        [PROGRAMS / "steward", "--target", target, "health", "--wait", "30", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with Daemon(tmp_path, listen=target):
        output, _ = waiting.communicate(timeout=60)

    assert (0, True) == (waiting.returncode, json.loads(output)["serving"])


def test_config_is_printed_with_secrets_masked() -> None:
    """
    Every setting is printed with its value and meaning, but not the key.
    """
    key = "ab" * 32

    done = run("config", "--listen", "127.0.0.1:5", program="stewardd", STEWARD_PRIVACY_KEY=key, STEWARD_READERS="7")

    assert "STEWARD_LISTEN=127.0.0.1:5  # HOST:PORT" in done.stdout
    assert "STEWARD_READERS=7" in done.stdout
    assert "STEWARD_PRIVACY_KEY=**********" in done.stdout
    assert key not in done.stdout


def test_config_refuses_what_serve_would_refuse() -> None:
    """
    A setting that cannot work is named before anything is started, and a bad key is not shown.
    """
    done = run("config", program="stewardd", STEWARD_PRIVACY_KEY="not-a-key")

    assert (1, "", "stewardd: privacy_key: must be 64 hexadecimal digits\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


REFUSED = [
    ({"STEWARD_LISTEN": "0.0.0.0:1"}, "listen: anyone who reaches this address could read"),
    ({"STEWARD_LISTEN": "nowhere"}, "listen: must be HOST:PORT"),
    ({"STEWARD_READERS": "0"}, "readers: "),
    ({"STEWARD_LOG_LEVEL": "loud"}, "log_level: "),
    ({"STEWARD_PRIVACY_KEY": "short"}, "must be 64 hexadecimal digits"),
    ({"STEWARD_DATA": "/proc/steward"}, "/proc/steward cannot be made"),
    ({"OTEL_TRACES_EXPORTER": "nonsense"}, "the OpenTelemetry exporter 'nonsense' is not installed"),
]


@pytest.mark.parametrize(("environment", "message"), REFUSED, ids=lambda each: str(each)[:30])
def test_a_daemon_that_cannot_start_says_why_in_a_line(
    tmp_path: Path, environment: dict[str, str], message: str
) -> None:
    """
    A setting that cannot work is named on stderr, with exit code 1.
    """
    variables = {"STEWARD_DATA": str(tmp_path), "STEWARD_LISTEN": "127.0.0.1:0", **environment}

    done = run("serve", program="stewardd", **variables)

    assert (1, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    """
    A fresh store is migrated once.
    """
    first, again = (run("migrate", "--data", str(tmp_path), program="stewardd").stdout for _ in range(2))

    assert (
        "applied 0001_interactions, 0002_figures, 0003_rated_at, 0004_restores, 0005_recorders; "
        "the schema is 0005_recorders\n" == first
    )
    assert "applied nothing; the schema is 0005_recorders\n" == again


def test_output_that_nobody_reads_is_no_error(server: App, client: Client) -> None:
    """
    A reader that goes away, as head does, ends the command quietly.
    """
    recorded(client, *(interaction(query="x" * 1000) for _ in range(200)))
    command = [str(PROGRAMS / "steward"), "--target", server.target, "list", "--limit", "200", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        complaints = listing.stderr.read()

    assert "" == complaints


def test_an_interrupt_stops_the_daemon_cleanly(tmp_path: Path) -> None:
    """
    SIGINT, as Ctrl-C sends it, is a clean stop with exit code 0, soon.
    """
    daemon = Daemon(tmp_path)
    started = time.monotonic()

    daemon.process.send_signal(signal.SIGINT)

    assert 0 == daemon.process.wait()
    assert 10 > time.monotonic() - started
