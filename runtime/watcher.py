"""Who hears of long work as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watcher:
    """Told how much there will be, and after a while that so much more is done."""

    total: Callable[[int], object] = lambda _count: None
    done: Callable[[int], object] = lambda _count: None
