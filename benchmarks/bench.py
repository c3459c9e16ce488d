"""One run of the bench: its options, what earlier sections found, and the stack that sections share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.scene import Scene, keep_logs, keep_some, scene
from core.clock import Clock
from runtime.settings import LogKind


@dataclass(frozen=True, slots=True)
class Options:
    """How much to measure, and on which log."""

    quick: bool
    log: LogKind
    merchants: int = 1_000

    def seconds(self, full: float, quick: float) -> float:
        """How long a run takes."""
        return quick if self.quick else full


@dataclass(slots=True)
class Bench:
    """What a section is handed. ``found`` are the figures of the sections before it, by name."""

    options: Options
    clock: Clock
    say: Callable[[str], object]
    exits: ExitStack
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    opened: Scene | None = None

    def scene(self) -> Scene:
        """The stack that sections share; started by the first that asks."""
        if self.opened is None:
            self.opened = self.exits.enter_context(
                scene(self.clock, self.options.log, self.options.merchants, self.say)
            )
        self.opened.stack.supervisor.check()
        return self.opened

    def line(self) -> dict[str, Any]:
        """The figures of the whole line in this run; raises ``LookupError`` when it was not measured."""
        if "line" not in self.found:
            raise LookupError("the line was not measured in this run, and shares of its rate are asked for")
        return self.found["line"]

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="millrace-bench-") as name:
            yield Path(name)

    def keep_logs(self) -> None:
        """Copy the parts' logs to where they outlive the stack."""
        if self.opened is not None:
            keep_logs(self.opened.home)

    def keep_folder(self, folder: Path) -> None:
        """Copy a folder's own logs to where they outlive it."""
        keep_logs(folder / "home")
        keep_some(folder)
