"""Benchmarks of rating keep their memory as the product's processes do, which must be said before Polars is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

from runtime.start import ALLOCATOR, keep_pages


def with_pages_kept(module: str) -> None:
    """Begin anew as ``runtime.start`` begins, unless the environment has a say already."""
    if ALLOCATOR not in os.environ:
        keep_pages()
        again = subprocess.run([sys.executable, "-m", module, *sys.argv[1:]], check=False)
        raise SystemExit(again.returncode)
