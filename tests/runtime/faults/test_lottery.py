"""A short draw of the lottery."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.settings import log_kind
from tests.runtime.faults.lottery import Draw, play

pytestmark = [pytest.mark.faults, pytest.mark.timeout(420)]

SECONDS = float(os.environ.get("MILLRACE_LOTTERY_S", "60"))
SEED = int(os.environ.get("MILLRACE_FAULT_SEED", "20231117"))
LOG = log_kind(os.environ.get("MILLRACE_LOG", "embedded"))


def test_a_minute_of_random_kills_loses_and_doubles_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Two workers, one of them frozen beyond its lease; the checker finds every acknowledged event once."""
    drawn = play(Draw(SECONDS, SEED, LOG, rate=8_000.0), tmp_path)

    assert drawn.ok, drawn.said
    assert drawn.replaced, "the frozen worker was to be replaced meanwhile"
    assert sum(drawn.killed.values()) >= 3
    for name, fact in {"row": "lottery", "log": LOG, "seed": SEED, "said": str(dict(drawn.killed))}.items():
        record_property(name, fact)
