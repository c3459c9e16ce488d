"""Processes that still work inside a folder, such as the children of a server that was killed."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from core.clock import Clock

PAUSE_S = 0.05
GOES_BY_ITSELF_S = 5.0
GOES_WHEN_KILLED_S = 5.0


def users_of(folder: Path, program: str) -> list[psutil.Process]:
    """Processes of a program whose working folder this is; zombies have none."""
    wanted = str(folder.resolve())
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == program and process.cwd() == wanted:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def end_users_of(folder: Path, program: str, clock: Clock) -> None:
    """Wait until no such program works in the folder; after a while, make it so. Raises ``OSError`` if it fails."""
    if gone_within(folder, program, clock, GOES_BY_ITSELF_S):
        return
    for process in users_of(folder, program):
        process.kill()
    if not gone_within(folder, program, clock, GOES_WHEN_KILLED_S):
        raise OSError(f"processes {[p.pid for p in users_of(folder, program)]} still use {folder}")


def gone_within(folder: Path, program: str, clock: Clock, seconds: float) -> bool:
    """Whether the folder's last user goes in time."""
    until = clock.steady_s() + seconds
    while users_of(folder, program):
        if clock.steady_s() > until:
            return False
        time.sleep(PAUSE_S)
    return True
