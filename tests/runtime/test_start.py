"""A process keeps the memory of its frames, because it says so before Polars is loaded, and goes without pandas."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.start import ALLOCATOR, PAGES_KEPT

ROOT = Path(__file__).parents[2]
# Columns as rating makes and drops them, of 4 MiB each, with pauses in which what lies idle would be given back.
COLUMNS = """
import resource, sys, time
from runtime.start import keep_pages

if "keep" in sys.argv:
    keep_pages()
import polars as pl

def work():
    column = pl.int_range(0, 1 << 19, eager=True)
    assert len([column + number for number in range(4)]) == 4
    time.sleep(0.3)

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
# What is said when the command line is loaded, and whether Polars was there before.
LOADED = """
import os, sys
import runtime.start

class Loaded:
    def find_spec(self, name, path=None, target=None):
        if name == "polars":
            print(os.environ["_RJEM_MALLOC_CONF"])

sys.meta_path.insert(0, Loaded())
assert "polars" not in sys.modules
sys.argv = ["millrace", "--help"]
runtime.start.main()
"""
# An array, a table read from Arrow's bytes and a frame, in a process of the command line.
WITHOUT_PANDAS = """
import sys
import runtime.start

sys.argv = ["millrace", "--help"]
try:
    runtime.start.main()
except SystemExit:
    pass
import numpy as np, polars as pl, pyarrow as pa

array = pa.array(["a", "b"])
assert np.asarray(array).tolist() == ["a", "b"]
assert pl.from_arrow(pa.table({"a": array})).to_arrow().column("a").to_pylist() == ["a", "b"]
print([name for name, module in sys.modules.items() if name.startswith("pandas") and module is not None])
"""


def said(script: str, *arguments: str, **environment: str) -> str:
    """What a fresh process prints that is told nothing else of allocators."""
    env = {name: value for name, value in os.environ.items() if name != ALLOCATOR} | environment
    argv = [sys.executable, "-c", script, *arguments]
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, check=True, text=True).stdout


def test_later_frames_use_the_memory_of_earlier_ones() -> None:
    """Left alone, the allocator asks the system for most pages of later columns."""
    assert int(said(COLUMNS, "keep")) * 10 < int(said(COLUMNS))


@pytest.mark.parametrize(("given", "found"), [({}, PAGES_KEPT), ({ALLOCATOR: "narenas:1"}, "narenas:1")])
def test_the_command_line_says_so_before_polars_is_loaded(given: dict[str, str], found: str) -> None:
    """What the operator says of the allocator counts instead."""
    assert said(LOADED, **given).splitlines()[0] == found


def test_arrow_does_not_load_pandas() -> None:
    """It would take longer than most commands, and no command uses it."""
    assert said(WITHOUT_PANDAS).splitlines()[-1] == "[]"
