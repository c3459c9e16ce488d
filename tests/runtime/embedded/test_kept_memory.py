"""Processes of the stream keep freed memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runtime.embedded.kept_memory import TUNABLES, kept_memory

# Takes and leaves a buffer larger than what glibc would map for it alone, and counts the pages it had to be given.
CHURN = """
import resource
for _ in range(200):
    bytes(bytearray(b"x" * 4_000_000))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(env: dict[str, str]) -> int:
    """Pages that the kernel had to provide."""
    done = subprocess.run([sys.executable, "-c", CHURN], env=os.environ | env, capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="asks glibc")
def test_freed_memory_is_not_given_back_at_once() -> None:
    """Left alone, each round asks the kernel for thousands of pages."""
    assert faults(kept_memory({})) * 10 < faults({TUNABLES: ""})


def test_who_runs_it_decides() -> None:
    """Tunables that are set already stay."""
    assert kept_memory({TUNABLES: "glibc.malloc.arena_max=2"}) == {}
