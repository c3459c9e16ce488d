"""Opens the fast lane beside a gateway that already works: what is not compiled yet is compiled by another process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.logs import get_logger
from ingest.rows import Accepted

if TYPE_CHECKING:
    from ingest.lane.lane import FastLane

# Compiling keeps a core busy for half a minute; whoever answers requests goes first.
COMPILE = ("nice", sys.executable, "-m", "ingest.lane")
ROOT = Path(__file__).parents[1]


class LaneLoader:
    """``lane`` is ``None`` until it is open. Everything else goes its old way until then, or for good."""

    def __init__(self) -> None:
        self.lane: FastLane | None = None
        self.compiling: subprocess.Popen[bytes] | None = None
        self.stopped = threading.Event()
        self.log = get_logger("ingest.lane")

    def start(self) -> None:
        """Begin, in a thread."""
        threading.Thread(target=self.load, name="fast-lane", daemon=True).start()

    def stop(self) -> None:
        """Compile no further."""
        self.stopped.set()
        if self.compiling:
            self.compiling.kill()
            self.compiling.wait()

    def load(self) -> None:
        """Import, compile and try out all kernels. That fails on machines without numba's compiler only."""
        try:
            # Importing takes half a second: not before the gateway answers.
            from core.compiled import is_compiling  # noqa: PLC0415
            from ingest.lane import trial  # noqa: PLC0415

            if not is_compiling():
                return
            if not trial.is_prepared():
                self.compile()
            if not self.stopped.is_set():
                self.lane = trial.tried_lane()
                self.log.info("the fast lane is open")
        except (ImportError, OSError, RuntimeError) as error:
            self.log.warning("there is no fast lane", error=f"{type(error).__name__}: {error}"[:300])

    def compile(self) -> None:
        """Let another process compile, so that this one keeps its interpreter to itself."""
        self.compiling = subprocess.Popen(COMPILE, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.compiling.poll() is None and not self.stopped.wait(0.1):
            pass

    def write(self, gathered: Sequence[Accepted], partitions: int) -> list[tuple[int, bytes]] | None:
        """Finished messages, or ``None`` while the lane is not open."""
        return self.lane.write(gathered, partitions) if self.lane else None
