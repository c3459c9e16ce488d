"""A lane that has been tried out: every kernel is compiled, or loaded, before the first request needs it."""

from __future__ import annotations

from core.compiled import is_kept
from ingest.lane.lane import FastLane
from ingest.lane.message import fill
from ingest.lane.scan import scan
from ingest.lane.sheet import cut_texts
from ingest.needs import NO_NEEDS
from ingest.validate import Rules

# One plain event, and one that goes through the rules and comes back as rows.
BODY = b'[{"id":"a","type":"t","subject":"s","properties":{"n":1.50}},{"id":"b","type":"t","subject":"\\u00e9"}]'


def is_prepared() -> bool:
    """Whether the kernels that others are part of are on disk."""
    return is_kept(scan) and is_kept(fill) and is_kept(cut_texts)


def tried_lane() -> FastLane:
    """A lane that has judged a body and written its messages."""
    lane = FastLane()
    verdict = lane.judge(BODY, "document", Rules("m", 0, {"t": NO_NEEDS}), None)
    assert verdict and verdict.accepted == 2, "both are good"
    assert lane.write(verdict.kept, 1), "they make a message"
    return lane
