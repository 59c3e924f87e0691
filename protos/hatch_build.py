"""
Makes what is generated: the stubs from the .proto files, and the synchronous client from the asynchronous one.

Runs inside the build, and by hand as `python protos/hatch_build.py`.
"""

from __future__ import annotations

import io
import pathlib
import shutil
import subprocess
import sys
import tokenize

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by hand, without hatchling
    BuildHookInterface = object

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
CLIENT = ROOT / "client"

# What a word of the asynchronous client is in the synchronous one; None takes it out, with the space behind it.
SYNCHRONOUS = {
    "async": None,
    "await": None,
    "AsyncClient": "Client",
    "AsyncInteractionExport": "InteractionExport",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aio_channel": "channel",
    "aio_export": "client_export",
    "anext": "next",
    "asyncio": "time",
}

# The modules of the asynchronous client, and what they are called in the synchronous one.
CLIENTS = {"aio.py": "client.py", "aio_export.py": "client_export.py"}


class Generate(BuildHookInterface):
    """Generates before anything is packed."""

    PLUGIN_NAME = "generate"

    def initialize(self, version: str, build_data: dict) -> None:
        generate()


def generate() -> None:
    """Write client/steward/v1 and the modules of the synchronous client afresh."""
    compile_protos()
    generate_clients()


def generate_clients() -> None:
    """Write the modules of the synchronous client."""
    for source, target in CLIENTS.items():
        text = (CLIENT / "steward" / source).read_text(encoding="utf-8")
        (CLIENT / "steward" / target).write_text(synchronous(text), encoding="utf-8")


def compile_protos() -> None:
    """Compile the .proto files into client/steward/v1."""
    target = CLIENT / "steward" / "v1"
    shutil.rmtree(target, ignore_errors=True)
    outputs = [f"--{kind}_out={CLIENT}" for kind in ("python", "mypy", "grpc_python", "mypy_grpc")]
    files = sorted(str(path) for path in (PROTOS / "steward").rglob("*.proto"))
    path = pathlib.Path(sys.executable).parent
    plugins = [
        f"--plugin={name}={found}"
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
        if (found := shutil.which(name, path=str(path)) or shutil.which(name))
    ]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *plugins, *outputs, *files]
    subprocess.run(command, check=True, cwd=ROOT)
    (target / "__init__.py").write_text('"""Generated from protos/steward/v1."""\n', encoding="utf-8")


def synchronous(source: str) -> str:
    """Turn the asynchronous client's *source* into the synchronous client's."""
    words, skip_space_from = [], None
    end = (1, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.start[0] == end[0]:
            gap = token.line[end[1] : token.start[1]]
        else:
            gap = token.line[: token.start[1]] if token.type not in (tokenize.INDENT, tokenize.DEDENT) else ""
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            continue
        word = SYNCHRONOUS.get(token.string, token.string) if token.type == tokenize.NAME else token.string
        words.append("" if skip_space_from == token.start[0] else gap)
        skip_space_from = token.start[0] if word is None else None
        words.append(word or "")
        end = token.end
    text = "".join(words)
    for before, after in PHRASES:
        text = text.replace(before, after)
    return text


# What the words alone do not say.
PHRASES = (
    ("he asynchronous client", "he synchronous client"),
    ("from one event loop", "from any thread"),
)

if __name__ == "__main__":
    generate()
