"""The events' properties as one flat table, from which values are fetched by event and property number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Places = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

SLOT_BITS = np.uint64(32)


@dataclass(frozen=True, slots=True)
class PropertyTable:
    """Texts sorted by event and, within an event, by the property's number."""

    slots: U64
    texts: pl.Series

    def fetch(self, rows: Places, properties: Places) -> pl.Series:
        """The text of one property of one event for each pair asked for; null where the event has none."""
        if not len(self.slots):
            return pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))
        wanted = slot_of(rows, properties)
        at = np.searchsorted(self.slots, wanted)
        found = self.slots[np.minimum(at, len(self.slots) - 1)] == wanted
        found &= properties >= 0
        return self.texts.gather(pl.Series(np.where(found, at, -1)).replace(-1, None))


def slot_of(rows: Places, properties: Places) -> U64:
    """One number that sorts by event, then by property."""
    return (rows.astype(np.uint64) << SLOT_BITS) | (properties.astype(np.uint64) & np.uint64(0xFFFFFFFF))


def flatten(properties: pa.MapArray, names: tuple[str, ...]) -> PropertyTable:
    """The named properties of all events; others are left out. A name given twice counts with its first value."""
    bounds = np.asarray(properties.offsets)
    counts, begin, length = np.diff(bounds), int(bounds[0]), int(bounds[-1] - bounds[0])
    codes = texts_of(properties.keys.slice(begin, length)).cast(pl.Enum(list(names)), strict=False).to_physical()
    kept = codes.is_not_null().to_numpy()
    rows = np.repeat(np.arange(len(properties), dtype=np.int64), counts)[kept]
    slots = slot_of(rows, codes.filter(pl.Series(kept)).to_numpy().astype(np.int64))
    texts = texts_of(properties.items.slice(begin, length)).filter(pl.Series(kept))
    if (slots[1:] > slots[:-1]).all():
        return PropertyTable(slots, texts)
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return PropertyTable(ordered[first], texts.gather(order[first]))


def texts_of(column: pa.Array) -> pl.Series:
    """An Arrow column of texts as a series."""
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series
