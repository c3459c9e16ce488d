"""What the supervisor needs to know about a process that it looks after."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CODE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Restart:
    """How a part that dies is started again: after a pause that doubles each time, until it has died too often.

    A part that has been ready for ``steady_s`` starts counting from nothing again.
    """

    first_delay_s: float = 0.2
    delay_s_max: float = 10.0
    attempts_max: int = 10
    steady_s: float = 30.0

    def delay_s(self, attempt: int) -> float:
        """The pause before restart number ``attempt`` (1 is the first)."""
        return min(self.delay_s_max, self.first_delay_s * 2.0 ** (attempt - 1))


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user that a part runs as when the supervisor itself is root."""

    uid: int
    gid: int


def nothing() -> None:
    """The preparation of a part that needs none."""


@dataclass(frozen=True)
class Part:
    """One process: how to start it, how to know that it serves, how to end it.

    ``ready`` answers at once (under a second) and may raise ``OSError``; ``prepare`` runs before each start.
    ``orphan_signal`` is what the system sends when the supervisor itself is killed.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = nothing
    cwd: Path | None = None
    run_as: RunAs | None = None
    port: int | None = None
    ready_within_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    orphan_signal: signal.Signals = signal.SIGKILL
    restart: Restart = Restart()


def module_argv(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of our own modules with this interpreter; pair it with ``module_env()``."""
    return (sys.executable, "-m", module, *arguments)


def module_env() -> dict[str, str]:
    """Where the interpreter finds our own modules, whatever folder the part runs in."""
    places = [str(CODE_ROOT), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, places)), "PYTHONUNBUFFERED": "1"}
