"""Frames cross a stage boundary through a declared schema only."""

from __future__ import annotations

import polars as pl

Schema = dict[str, pl.DataType]


def checked(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Return ``frame`` with the schema's columns in the schema's order; a missing column or another type stops us.

    Decimal arithmetic changes types silently (a float literal, a wider scale), so nothing is cast here: a
    mismatch is our own bug and must be seen.
    """
    found = frame.schema
    # A plan for no work takes longer than a few rows' work does.
    if list(found.items()) == list(schema.items()):
        return frame
    missing = [name for name in schema if name not in found]
    assert not missing, f"columns missing from the frame: {missing}"
    wrong = {name: (found[name], kind) for name, kind in schema.items() if found[name] != kind}
    assert not wrong, f"columns of another type (found, declared): {wrong}"
    return frame.select(list(schema))
