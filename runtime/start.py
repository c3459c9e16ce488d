"""Where every process starts: what has to be said before the first library is loaded, and then the command line.

Polars takes its memory from an allocator of its own, which reads its settings when Polars is loaded. As it comes, it
gives back arrays of more than 8 MiB at once and all others after a moment, and the system clears each page anew for the
next ones. In a close that took a quarter of the time.

Arrow loads pandas with the first array that it makes, where it is installed: half a second to two of CPU, and memory,
in every process. The embedded engine's wheel brings it along; nothing here uses it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

# Pages are kept for ten seconds, and so are those of large arrays.
ALLOCATOR: Final = "_RJEM_MALLOC_CONF"
PAGES_KEPT: Final = "oversize_threshold:0,dirty_decay_ms:10000"


def main() -> None:
    """Run a command of ``runtime.cli``, which loads the libraries."""
    keep_pages()
    sys.meta_path.insert(0, LeftOut("pandas"))
    import_module("runtime.cli").main()


def keep_pages() -> None:
    """Let Polars keep its memory, unless the environment says what its allocator is to do."""
    os.environ.setdefault(ALLOCATOR, PAGES_KEPT)


class LeftOut(MetaPathFinder, Loader):
    """Has a library seem not to be installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Answer for the one library."""
        return ModuleSpec(fullname, self) if fullname == self.name else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Raises ``ModuleNotFoundError``, as where it is not installed."""
        raise ModuleNotFoundError(f"{spec.name} is left out of this process (runtime/start.py)", name=spec.name)
