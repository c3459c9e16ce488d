from __future__ import annotations

from collections import Counter

import numpy as np

from runtime.traffic.account import Account, account_of
from runtime.traffic.ledger import SimulatorLedger
from tests.runtime.traffic.plans import fully_answered, sent_events, small_plan


def naive_account(plan_fields: dict[str, float]) -> Account:
    """Fates by the definitions alone: one dict of first copies, one event after the other in order."""
    plan = small_plan(**plan_fields)
    seen: dict[tuple[int, str], object] = {}
    fates = Counter[str]()
    for merchant, _ordinal, event in sorted(sent_events(plan), key=lambda sent: sent[1]):
        if event["time"].startswith("2023-13") or "subject" not in event or not event["type"]:
            fates["refused"] += 1
        elif event["type"] == "nothing.known" or event["subject"].startswith("x"):
            fates["held"] += 1
        elif event["data"]["value"] == "n/a":
            fates["rejected"] += 1
        elif (merchant, event["id"]) not in seen:
            seen[merchant, event["id"]] = event
            fates["stored"] += 1
        else:
            fates["duplicates" if seen[merchant, event["id"]] == event else "conflicts"] += 1
    counts = {name: fates[name] for name in ("refused", "stored", "duplicates", "conflicts", "held", "rejected")}
    accepted = plan.events - counts["refused"]
    return Account(sent=plan.events, accepted=accepted, astray=0, maybe_repeated=0, **counts)


def test_the_account_agrees_with_a_naive_walk_over_the_events_as_sent() -> None:
    """Counting in columns and counting one by one give the same fates."""
    fields = {"conflict_share": 0.002, "invalid_share": 0.004, "unknown_share": 0.002}
    account, stored = account_of(fully_answered(small_plan(**fields)))
    assert account == naive_account(fields)
    assert int(stored.sum()) == account.stored
    assert min(account.stored, account.duplicates, account.conflicts, account.held, account.rejected) > 10


def test_unanswered_events_are_not_expected() -> None:
    """Only what was acknowledged must be stored; a repeat alone stores its first copy's event."""
    plan = small_plan(repeat_share=0.2)
    ledger = SimulatorLedger(plan)
    ledger.acknowledge(np.arange(10_000, dtype=np.int64), {})
    account, stored = account_of(ledger)
    assert account.accepted == 10_000
    assert account.stored + account.duplicates + account.conflicts + account.held + account.rejected <= 10_000
    assert not stored[10_000:].any()


def test_wrong_answers_are_noticed() -> None:
    """A good event refused counts as astray."""
    ledger = fully_answered(small_plan())
    ledger.acknowledge(np.array([0], dtype=np.int64), {0: "why"})
    assert account_of(ledger)[0].astray == 1
