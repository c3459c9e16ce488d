"""A worker in a process of its own that kills itself at a chosen moment: ``python -m ... MOMENT COUNT HOW``."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.commands.worker import work
from runtime.settings import load_settings
from streams.sink import Moment

ROOT = Path(__file__).parents[2]
NEVER = "never"
KILL, RAISE = "kill", "raise"


def start(
    env: Mapping[str, str], log: Path, moment: Moment | str = NEVER, count: int = 1, how: str = KILL
) -> subprocess.Popen[bytes]:
    """Start a worker that dies, or raises, when ``moment`` comes for the ``count``-th time."""
    command = [sys.executable, "-m", "tests.streams.worker_process", moment, str(count), how]
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=out, stderr=out)


def main(moment: str, count: int, how: str) -> None:
    """Run until the end that was asked for."""
    left = count

    def failpoint(now: Moment) -> None:
        nonlocal left
        if now == moment:
            left -= 1
            if left == 0 and how == RAISE:
                raise ZeroDivisionError("something that nobody thought of")
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    raise SystemExit(asyncio.run(work(load_settings(), failpoint)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
