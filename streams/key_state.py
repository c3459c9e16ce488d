"""What is known of a key before a correction: counted, held, taken back, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from streams.rows import EVENT, HELD, RETRACTION, STORED

NOTHING, COUNTED, WAITING, GONE = 0, 1, 2, 3
UNKNOWN_EVENT = "unknown_event"


@dataclass(frozen=True, slots=True)
class States:
    """For each key its state, and the place of the row that gave it; -1 where there is none."""

    state: npt.NDArray[np.int8]
    row: npt.NDArray[np.int64]


def states_of(keys: pa.FixedSizeBinaryArray, rows: pa.Table) -> States:
    """The state of each key, given all of its rows so far (EVENTS_SCHEMA), in whatever order.

    The last correction that did something decides: one that was held for an event nobody knows did nothing. Without
    one the key's first event does.
    """
    action, fate = pl.col("action"), pl.col("fate")
    frame = pl.DataFrame(
        {
            "key": pl.Series(rows.column("key").to_pylist(), dtype=pl.Binary),
            "stored_at": pl.Series(rows.column("stored_at").cast(pa.int64()).to_numpy()),
            **{
                name: pl.Series(rows.column(name).to_numpy()) for name in ("kafka_offset", "position", "action", "fate")
            },
            "unknown": pl.Series(
                [reason == UNKNOWN_EVENT for reason in rows.column("reason").to_pylist()], dtype=pl.Boolean
            ),
        }
    ).with_row_index("row")
    in_order = frame.sort("stored_at", "kafka_offset", "position")
    did = (action != EVENT) & (fate.is_in([STORED, RETRACTION]) | ((fate == HELD) & ~pl.col("unknown")))
    events = in_order.filter((action == EVENT) & fate.is_in([STORED, HELD])).unique(
        "key", keep="first", maintain_order=True
    )
    corrections = in_order.filter(did).unique("key", keep="last", maintain_order=True)
    deciding = pl.concat([corrections, events.join(corrections, on="key", how="anti")])
    asked = pl.DataFrame({"key": pl.Series(keys.to_pylist(), dtype=pl.Binary)})
    found = asked.join(deciding, on="key", how="left", maintain_order="left")
    states = {STORED: COUNTED, HELD: WAITING, RETRACTION: GONE}
    state = found["fate"].replace_strict(states, default=NOTHING, return_dtype=pl.Int8)
    return States(state.to_numpy(), found["row"].cast(pl.Int64).fill_null(-1).to_numpy())
