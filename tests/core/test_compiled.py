"""Kernels: compiled once, kept for the next process, and never run with an old copy of what they call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
