"""Kernels: compiled once, kept for the next process, and never run with an old copy of what they call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLEE = """
from core.compiled import compiled

@compiled
def step(value: int) -> int:
    return value + {step}
"""
CALLER = """
from callee import step
from core.compiled import compiled

@compiled
def twice(value: int) -> int:
    return step(step(value))
"""
LEAN = """
import numpy as np
from core.compiled import eight_at, first_bit, lean, put_eight

@lean
def move(data, at):
    put_eight(data, at, eight_at(data, at + 1))
    return first_bit(eight_at(data, at))

@lean
def move_twice(data, places):
    return move(data, 0) + move(data, places[0])

if __name__ == "__main__":
    data = np.arange(16, dtype=np.uint8)
    found = move_twice(data, np.array([3], dtype=np.int32))
    kinds = len(getattr(move, "signatures", ())) + len(getattr(move_twice, "signatures", ()))
    print(found, first_bit(np.uint64(0)), data.tolist(), kinds)
"""
SHOW = "import caller; print(caller.twice(1), sum(caller.twice.stats.cache_hits.values()))"


def run(folder: Path, code: str, **environment: str) -> str:
    """What a fresh process prints."""
    path = os.pathsep.join((str(ROOT), str(folder)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_compiled_code_is_kept_until_any_source_of_its_folder_changes(tmp_path: Path) -> None:
    """Also when only the function that it calls changed, of which numba alone would not know."""
    (tmp_path / "callee.py").write_text(CALLEE.format(step=1))
    (tmp_path / "caller.py").write_text(CALLER)

    assert run(tmp_path, SHOW) == "3 0"
    assert run(tmp_path, SHOW) == "3 1"
    (tmp_path / "callee.py").write_text(CALLEE.format(step=10))
    assert run(tmp_path, SHOW) == "21 0"


def test_without_compiled_code_a_kernel_is_its_function(tmp_path: Path) -> None:
    """Which is how its bounds are tested."""
    (tmp_path / "callee.py").write_text(CALLEE.format(step=1))
    (tmp_path / "caller.py").write_text(CALLER)

    assert run(tmp_path, "import caller; print(caller.twice(1))", NUMBA_DISABLE_JIT="1") == "3"


@pytest.mark.parametrize(("off", "kinds"), [("0", 2), ("1", 0)])
def test_lean_kernels_reach_eight_bytes_anywhere(tmp_path: Path, off: str, kinds: int) -> None:
    """As in Python, and compiled once, whatever the width of their integers."""
    (tmp_path / "lean_kernels.py").write_text(LEAN)

    moved = [1, 2, 3, 5, 6, 7, 8, 8, 9, 10, 11, 11, 12, 13, 14, 15]
    shown = run(tmp_path, "import runpy; runpy.run_module('lean_kernels', run_name='__main__')", NUMBA_DISABLE_JIT=off)
    assert shown == f"0 64 {moved} {kinds}"
