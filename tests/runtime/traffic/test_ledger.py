from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.traffic.ledger import SimulatorLedger, answers_path, event_ids, load_ledger
from tests.runtime.traffic.plans import small_plan


def test_answers_are_on_disk_before_the_ledger_is_saved(tmp_path: Path) -> None:
    """A sender that is killed leaves its acknowledged events in the mapped file."""
    path = tmp_path / "ledger.json"
    ledger = SimulatorLedger(small_plan(), path)
    ledger.acknowledge(np.array([3, 5, 8], dtype=np.int64), {1: "time_invalid"})
    answers = np.fromfile(answers_path(path), dtype=np.uint8)
    assert np.flatnonzero(answers).tolist() == [3, 5, 8]


def test_a_ledger_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    """Plan, answers and counts survive the file."""
    path = tmp_path / "deep" / "ledger.json"
    ledger = SimulatorLedger(small_plan(seed=9), path)
    ledger.acknowledge(np.array([0, 1, 2], dtype=np.int64), {2: "subject_missing"})
    ledger.repeat(3, maybe_stored=True)
    ledger.repeat(500, maybe_stored=False)
    ledger.save()
    again = load_ledger(path)
    assert again.plan == ledger.plan
    assert (again.accepted, again.refused, again.answered) == (2, 1, 3)
    assert again.refused_by_code == {"subject_missing": 1}
    assert (again.requests, again.retries, again.maybe_repeated) == (1, 2, 3)
    assert list(event_ids(again.plan, again.acknowledged())) == ["00000009-000000000000", "00000009-000000000001"]
