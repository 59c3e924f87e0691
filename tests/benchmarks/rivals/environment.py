"""
An environment for each rival, under the build directory, and what of ours it may not see.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parents[3] / "build" / "rivals"
THEIRS = ("LANGFUSE_", "OTEL_", "PHOENIX_")


def python(rival: str) -> Path:
    """
    Return the Python of the environment that has what the rival's file pins; install it unless it is there.

    Raises: CalledProcessError when it cannot be installed; pip has said why on stderr.
    """
    pins, place = Path(__file__).with_name(f"{rival}.txt"), BUILD / rival
    found, stamp = place / "bin" / "python", place / "installed.txt"
    wanted = f"{sys.version}\n{pins.read_text(encoding='utf-8')}"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"installing {rival} into {place} ...", file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(place))
        _run(str(found), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--requirement", str(pins))
        stamp.write_text(wanted, encoding="utf-8")
    return found


def _run(*command: str) -> None:
    subprocess.run(command, stdout=sys.stderr, check=True)


def variables() -> dict[str, str]:
    """Return this process's environment variables without those that send a rival elsewhere than to this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(THEIRS)}
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
