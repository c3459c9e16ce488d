"""Starting one part's process, ending it, and reading the end of its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from runtime.embedded.part import Part

LAUNCHER = str(Path(__file__).with_name("launch.py"))
LOG_BYTES_KEPT = 32 * 1024 * 1024
TAIL_LINES = 25
TAIL_BYTES = 16 * 1024


def log_path(home: Path, name: str) -> Path:
    """Where a part's output goes."""
    return home / "logs" / f"{name}.log"


def spawn(part: Part, home: Path) -> subprocess.Popen[bytes]:
    """Start the part in its own session, its output appended to its log.

    Must be called from a thread that lives as long as the part: Linux ends the part with its starting thread.
    """
    log = log_path(home, part.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    set_aside(log)
    user = part.run_as
    identity = (str(user.uid), str(user.gid)) if user else ("-1", "-1")
    launcher = (sys.executable, "-I", "-S", LAUNCHER, str(os.getpid()), str(int(part.orphan_signal)), *identity)
    with log.open("ab") as output:
        return subprocess.Popen(
            [*launcher, *part.argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=part.cwd or home,
            env={**os.environ, **part.env},
        )


def set_aside(log: Path) -> None:
    """Keep one earlier log when the present one has grown large."""
    if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
        log.replace(log.with_suffix(".log.1"))


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a part and whatever it started; a part that is gone already is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def stop(process: subprocess.Popen[bytes], part: Part) -> bool:
    """Ask the part to end, then end it by force after its grace; whether it went by itself."""
    went = True
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.send_signal(part.stop_signal)
        try:
            process.wait(part.grace_s)
        except subprocess.TimeoutExpired:
            went = False
    signal_group(process.pid, signal.SIGKILL)
    process.wait()
    return went


def tail(log: Path) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])
