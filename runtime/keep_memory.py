"""Keep the memory that a block used for the next one: given back and asked for again, its pages cost more than sums.

A block of a hundred thousand events makes and drops some hundred arrays of megabytes. As they come, glibc's malloc and
Arrow's own pool return such memory at once, in which case the system clears each page anew for the next block.
"""

from __future__ import annotations

import ctypes
import gc

import pyarrow as pa

# Settings of glibc's malloc, by the numbers of its header. One arena, since others begin small and are given back
# whole; arrays up to 32 MB, the most that it allows, taken from it; and only what lies idle beyond a gigabyte returned.
ARENAS_MAX, MAP_FROM_BYTES, GROW_BY_BYTES, RETURN_FROM_BYTES = -8, -3, -2, -1
KEPT = {ARENAS_MAX: 1, MAP_FROM_BYTES: 32 << 20, GROW_BY_BYTES: 64 << 20, RETURN_FROM_BYTES: 1 << 30}


def keep_memory() -> bool:
    """Let Arrow share malloc's memory with numpy, and malloc keep it; False where the C library has no such settings.

    To be called before the process starts threads: a thread keeps the arena that it first met.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    pa.set_memory_pool(pa.system_memory_pool())
    taken = [libc.mallopt(setting, value) for setting, value in KEPT.items()]
    # What was imported lives as long as the process: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    return all(taken)
