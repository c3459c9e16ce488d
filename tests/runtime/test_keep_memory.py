"""A worker's memory is kept from one block to the next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Blocks as they are to malloc: arrays of numpy and of Arrow that are written, and dropped together.
BLOCKS = """
import resource, sys
import numpy, pyarrow
from runtime.keep_memory import keep_memory

def block():
    arrays = [numpy.ones(1 << 20) for _ in range(8)]
    buffers = [pyarrow.array(array) for array in arrays]
    return [pyarrow.concat_arrays([buffer, buffer]) for buffer in buffers]

if "keep" in sys.argv:
    assert keep_memory()
for _ in range(3):
    block()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str) -> int:
    """Pages that ten more blocks had to ask the system for."""
    argv = [sys.executable, "-c", BLOCKS, *arguments]
    return int(subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, text=True).stdout)


def test_later_blocks_use_the_memory_of_earlier_ones() -> None:
    """Few of ten blocks' pages are asked for again; left alone, the allocators ask for most of them."""
    assert faults("keep") * 5 < faults()
