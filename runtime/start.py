"""Where every process starts: what has to be said before the first library is loaded, and then the command line.

Polars takes its memory from an allocator of its own, which reads its settings when Polars is loaded. As it comes, it
gives back arrays of more than 8 MiB at once and all others after a moment, and the system clears each page anew for the
next ones. In a close that took a quarter of the time.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

# Pages are kept for ten seconds, and so are those of large arrays.
ALLOCATOR: Final = "_RJEM_MALLOC_CONF"
PAGES_KEPT: Final = "oversize_threshold:0,dirty_decay_ms:10000"


def main() -> None:
    """Run a command of ``runtime.cli``, which loads the libraries."""
    keep_pages()
    import_module("runtime.cli").main()


def keep_pages() -> None:
    """Let Polars keep its memory, unless the environment says what its allocator is to do."""
    os.environ.setdefault(ALLOCATOR, PAGES_KEPT)
