"""The state of one part under supervision. Only the supervisor's own thread changes it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from enum import Enum

from runtime.embedded.part import Part


class State(Enum):
    """What a part is doing."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # dead, to be started again after a pause
    GIVEN_UP = "given_up"


@dataclass
class Watched:
    """A part, its process, and since when (steady seconds) it is in its state."""

    part: Part
    process: subprocess.Popen[bytes]
    state: State = State.STARTING
    since_s: float = 0.0
    attempts: int = 0
    ready_once: bool = False
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class PartStatus:
    """What the outside may know of a part."""

    name: str
    state: State
    pid: int
    restarts: int
