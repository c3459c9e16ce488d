"""Layouts of one merchant as the kernels read them: a hash table, and texts to compare with."""

from __future__ import annotations

import numpy as np

from core.errors import BadEvent
from ingest.lane.digest import (
    LAYOUT,
    OPTIONAL,
    PLACES,
    REQUIRED,
    SAMPLE,
    SLOTS,
    SORTED,
    TAIL,
    TAIL_SIZE,
    UNMETERED,
    USABLE,
)
from ingest.lane.text import padded
from ingest.needs import Needs
from ingest.properties import plan_layout

# Three quarters of the slots: a search ends soon.
LAYOUTS_MAX = SLOTS * 3 // 4
SAMPLE_END = "\1"
TEXTS_MAX = 256 * 1024


class LayoutBook:
    """Event types with their property names in the order sent, and what is known of each. Grows, up to a bound."""

    def __init__(self) -> None:
        self.slots = np.full(SLOTS, -1, dtype=np.int32)
        self.layouts = np.zeros((LAYOUTS_MAX, LAYOUT), dtype=np.int32)
        self.content = b""
        self.texts = padded(b"")
        self.places = np.zeros((1, 2), dtype=np.int32)
        self.count = 0

    def add(self, slot: int, event_type: str, names: tuple[str, ...], needs: Needs) -> bool:
        """Plan a layout that was not known and enter it at ``slot``; False when the book is full."""
        sample = "\0".join((event_type, *names, SAMPLE_END)).encode()
        if self.count == LAYOUTS_MAX or len(self.content) + 2 * len(sample) > TEXTS_MAX:
            return False
        tail, places = plan_places(names, needs)
        row = self.layouts[self.count]
        row[SAMPLE] = len(self.content)
        row[TAIL] = len(self.content) + len(sample)
        row[TAIL_SIZE] = len(tail)
        row[PLACES] = len(self.places)
        row[USABLE] = places is not None
        row[SORTED] = list(names) == sorted(names)
        self.content += sample + tail
        self.texts = padded(self.content)
        self.places = np.concatenate((self.places, np.array(places or [(0, 0)], dtype=np.int32).reshape(-1, 2)))
        self.slots[slot] = self.count
        self.count += 1
        return True


def plan_places(names: tuple[str, ...], needs: Needs) -> tuple[bytes, list[tuple[int, int]] | None]:
    """The tail of a layout, and for each name in order its place as sent and its need; None when it is not plain."""
    if len(set(names)) != len(names):
        return b"", None
    try:
        layout = plan_layout(names, needs)
    except BadEvent:
        return b"", None
    needed = dict.fromkeys(layout.required, REQUIRED) | dict.fromkeys(layout.optional, OPTIONAL)
    places = [(names.index(name), needed.get(place, UNMETERED)) for place, name in enumerate(sorted(names))]
    return layout.tail.encode(), places
