"""How the C library is told to treat the memory of a process that takes and leaves megabytes at every step."""

from __future__ import annotations

import os
from collections.abc import Mapping

TUNABLES = "GLIBC_TUNABLES"
MIB = 1024 * 1024

# Left alone, glibc maps each larger buffer anew and gives it back at once, so that the kernel clears the same pages
# again and again, four kilobytes at a time: a sixth of the gateway's CPU at full load. Other C libraries ignore this.
_KEPT = {
    "glibc.malloc.mmap_threshold": 32 * MIB,
    "glibc.malloc.trim_threshold": 1024 * MIB,
    "glibc.malloc.top_pad": 16 * MIB,
    "glibc.malloc.hugetlb": 1,
}


def kept_memory(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for a process that keeps freed memory, in large pages; whoever set tunables is not overruled."""
    if TUNABLES in environment:
        return {}
    return {TUNABLES: ":".join(f"{name}={value}" for name, value in _KEPT.items())}
