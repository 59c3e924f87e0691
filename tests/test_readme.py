"""
The README: its lines run, and it names every setting, RPC and command.
"""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from steward import cli
from stewardd import cli as daemon_cli
from stewardd.app import App
from stewardd.config import Config
from stewardd.testing import running_server
from tests.test_grid import METHODS

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(sys.executable).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN = "\n".join(README.splitlines()[:24])


def blocks(language: str) -> list[str]:
    """Return the code blocks of *language*."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands(app: typer.Typer, prefix: str) -> list[str]:
    """Return every command of *app*, as it is typed."""
    own = [f"{prefix} {each.name or each.callback.__name__}" for each in app.registered_commands if each.callback]
    groups = [(group.typer_instance, f"{prefix} {group.name}") for group in app.registered_groups]
    alone = [path for group, path in groups if group and does_something(group)]
    return own + alone + [name for group, path in groups if group for name in commands(group, path)]


def does_something(group: typer.Typer) -> bool:
    """Whether *group* is a command of its own, too."""
    return group.registered_callback is not None and group.registered_callback.invoke_without_command is True


ALL_COMMANDS = [*commands(cli.app, "steward"), *commands(daemon_cli.app, "stewardd")]


def test_the_first_screen_has_the_two_commands() -> None:
    """
    A newcomer sees make demo and make test without scrolling.
    """
    assert "make demo" in FIRST_SCREEN
    assert "make test" in FIRST_SCREEN


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_every_rpc_is_named(method: Any) -> None:
    """
    Each RPC stands in the table of its service.
    """
    (row,) = re.findall(rf"^\| {method.containing_service.name} \| (.*) \|$", README, re.MULTILINE)

    assert method.name in row.split(", ")


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_every_command_is_named(command: str) -> None:
    """
    Each command stands in the table of commands.
    """
    assert f"| `{command}` |" in README


@pytest.mark.parametrize(("name", "field"), Config.model_fields.items(), ids=list(Config.model_fields))
def test_every_setting_is_named_with_its_default(name: str, field: Any) -> None:
    """
    Each setting stands in the table, with the default and the meaning that the code has.
    """
    default = "" if field.default is None else f" `{field.default}`"

    assert f"| `STEWARD_{name.upper()}` |{default} | {field.description} |" in README


def test_every_target_of_the_makefile_is_documented() -> None:
    """
    Make help names each target.
    """
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[0].split()

    shown = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert set(targets) == set(re.findall(r"make ([\w-]+)", shown))


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_the_shell_lines_run(tmp_path: Path) -> None:
    """
    The ten lines of the README, typed into a shell, work: the server starts, answers each command, and stops.
    """
    (lines,) = (block for block in blocks("sh") if "make setup" in block)
    ready = f"mkdir .venv && ln -s {PROGRAMS} .venv/bin"
    script = lines.replace("make setup", ready).replace("127.0.0.1:50051", f"127.0.0.1:{free_port()}")
    if not (ROOT / ".venv").exists():
        script = script.replace(
            f"ln -s {ROOT / '.venv'} .venv", f"mkdir .venv && ln -s {Path(sys.executable).parent} .venv/bin"
        )

    done = subprocess.run(
        ["bash", "-e", "-m", "-c", script + "\nwait\n"], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert "[EMAIL_REDACTED]" in done.stdout
    assert (tmp_path / "steward-data" / "steward.db").exists()


def test_the_lines_about_what_it_computes_run(server: App) -> None:
    """
    Each command that shows what is computed works as the README has it.
    """
    (lines,) = (block for block in blocks("sh") if "steward insights" in block)
    places = {"STEWARD_TARGET": server.target, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "-e", "-c", lines], capture_output=True, text=True, check=False, env={**os.environ, **places}
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert all(title in done.stdout for title in ("Insights", "Worth asking", "Thresholds", "Rules", "no data yet"))


def test_the_python_lines_run(server: App, tmp_path: Path) -> None:
    """
    The examples of the typed client work against a server.
    """
    printed, environment = [], {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    for source in blocks("python"):
        lines = source.replace("127.0.0.1:50051", server.target)
        command = [sys.executable, "-c", lines]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
        printed.append(done.stdout)

    first, sync, twin, last = printed
    assert ("{'PHONE': 1} Call me at [PHONE_REDACTED]\n", "") == (first, last)
    assert ("1 0 0 () 0\n", "{} 2\n") == (sync, twin)
    assert (tmp_path / "interactions.parquet").exists()


CHECKERS = {
    "mypy": ["--strict", "--python-executable", sys.executable],
    "basedpyright": ["--level", "error", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("program", CHECKERS)
def test_the_python_lines_pass_strict_type_checkers(tmp_path: Path, program: str) -> None:
    """
    What a user copies from the README type-checks.
    """
    for number, source in enumerate(blocks("python")):
        (tmp_path / f"example{number}.py").write_text(source, encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")

    done = subprocess.run(
        [str(PROGRAMS / program), *CHECKERS[program], "."],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert 0 == done.returncode, done.stdout


def test_the_grpcurl_lines_name_what_is_there() -> None:
    """
    Services and methods in the grpcurl lines exist, and the record in them is a good one by buf curl.
    """
    (lines,) = (block for block in blocks("sh") if "grpcurl" in block)
    data = re.findall(r"-d '(\{\"interaction\".*?\}\})'", lines, re.DOTALL)[0].replace("\n", " ")
    called = set(re.findall(r"steward\.v1\.\w+/\w+", lines))

    assert called <= {f"{each.containing_service.full_name}/{each.name}" for each in METHODS}
    assert "already_stored" not in buf_curl("steward.v1.DataManagementService/RecordInteraction", data)


def buf_curl(method: str, data: str) -> str:
    """Call *method* of a fresh server with *data* by buf curl, which asks reflection as grpcurl does."""
    with running_server() as server:
        done = subprocess.run(
            [
                str(PROGRAMS / "buf"),
                "curl",
                "--protocol",
                "grpc",
                "--http2-prior-knowledge",
                "-d",
                data,
                f"http://{server.target}/{method}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert 0 == done.returncode, done.stderr
    return done.stdout
