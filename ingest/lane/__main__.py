"""``python -m ingest.lane``: compile all kernels, for the processes that start later."""

from __future__ import annotations

from ingest.lane.trial import tried_lane

if __name__ == "__main__":
    tried_lane()
