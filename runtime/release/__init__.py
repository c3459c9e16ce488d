"""Held events counted at last: when their meter or customer appears, or when their backfill is closed or reverted."""
