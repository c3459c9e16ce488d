"""A note of every running process below the home, so that the next start can end what a killed one left behind."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from runtime.embedded.process import signal_group

# The start time is rounded differently over time on some systems; a pid is not used again that fast.
START_TOLERANCE_S = 2.0
GOES_WITHIN_S = 10.0


def note_path(home: Path, name: str) -> Path:
    """The note of one part."""
    return home / "run" / f"{name}.pid"


def remember(home: Path, name: str, pid: int) -> None:
    """Note the process of a part."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return
    path = note_path(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"pid": pid, "started": started}), encoding="ascii")
    draft.replace(path)


def forget(home: Path, name: str) -> None:
    """The part's process is gone."""
    with suppress(FileNotFoundError):
        note_path(home, name).unlink()


def end_leftovers(home: Path) -> list[str]:
    """End every noted process that still runs and really is the noted one; the names of those that did."""
    ended = []
    for path in sorted((home / "run").glob("*.pid")):
        process = still_running(path)
        if process is not None:
            end(process)
            ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended


def still_running(path: Path) -> psutil.Process | None:
    """The process of a note, unless it is gone, or its number belongs to another by now."""
    try:
        note = json.loads(path.read_text(encoding="ascii"))
        process = psutil.Process(int(note["pid"]))
        same = abs(process.create_time() - float(note["started"])) < START_TOLERANCE_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError, KeyError, OSError):
        return None


def end(process: psutil.Process) -> None:
    """Kill the process with what it started: each part leads a group of its own."""
    signal_group(process.pid, signal.SIGKILL)
    with suppress(psutil.TimeoutExpired):
        process.wait(GOES_WITHIN_S)
