"""The ledger's contract, kept in memory and in Postgres alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from core.errors import Stop
from streams.block import Counts
from streams.dead_letter import DeadLetter
from streams.fills import Fill
from streams.ledger import Lease, Ledger, Position, Seal
from streams.plan import Intent
from streams.sequences import SealedSequences
from tests.streams.builders import NOON, PRODUCER

TOPIC = "usage"
LETTER = DeadLetter(3, 7, "mer_a", "evt\0", "value_missing", "what\0ever", {"id": "a\0b"}, None)


def seal(digest: str = "d", letters: tuple[DeadLetter, ...] = (), minutes: int = 0) -> Seal:
    """A block with two events, sealed under sequence 1."""
    return Seal(
        counts=Counts(received=2, stored=2),
        digest=digest,
        watermark=NOON + timedelta(minutes=minutes),
        sequences=SealedSequences().with_added([(PRODUCER, 1)]),
        unreadable_run=4,
        dead_letters=letters,
    )


def claimed(ledger: Ledger, owner: str = "w1", incarnation: int = 1) -> tuple[Lease, Position]:
    """Claim partition 2."""
    return ledger.claim(TOPIC, 2, owner, incarnation)


def test_an_incarnation_keeps_its_number(ledger: Ledger) -> None:
    """Ids are numbered from 1 in the order of their appearance, and a known id keeps its number."""
    numbers = [ledger.register(TOPIC, topic_id, 4) for topic_id in ("x", "y", "x", "z")]

    assert numbers == [1, 2, 1, 3]


def test_another_number_of_partitions_stops_us(ledger: Ledger) -> None:
    """Copies of an event would meet in different partitions."""
    ledger.register(TOPIC, "x", 4)

    with pytest.raises(Stop, match="4 partitions and now has 8"):
        ledger.register(TOPIC, "y", 8)


def test_a_new_partition_starts_at_its_beginning(ledger: Ledger) -> None:
    """The first claim finds offset 0, nothing open and nothing sealed."""
    lease, position = claimed(ledger)

    assert lease == Lease(TOPIC, 2, "w1", 1)
    assert position == Position(1, 0, None, SealedSequences(), 0, None)


def test_each_claim_raises_the_epoch(ledger: Ledger) -> None:
    """Also when the same owner claims again."""
    assert [claimed(ledger, owner)[0].epoch for owner in ("w1", "w2", "w2")] == [1, 2, 3]


def test_a_sealed_block_moves_the_partition_on(ledger: Ledger) -> None:
    """The next owner finds the next offset, the sequences, the run and the watermark of the seal."""
    lease, _ = claimed(ledger)
    intent = ledger.intend(lease, 1, 0, 9)
    ledger.seal(lease, intent, seal())

    _, position = claimed(ledger)

    assert position == Position(1, 10, None, SealedSequences().with_added([(PRODUCER, 1)]), 4, NOON)


def test_a_watermark_never_goes_back(ledger: Ledger) -> None:
    """A block of older receipts leaves it where it was."""
    lease, _ = claimed(ledger)
    for first, minutes in ((0, 5), (1, 2)):
        ledger.seal(lease, ledger.intend(lease, 1, first, first), seal(minutes=minutes))

    assert claimed(ledger)[1].watermark == NOON + timedelta(minutes=5)


def test_an_open_block_is_found_by_the_next_owner(ledger: Ledger) -> None:
    """With the same offsets, catalog version and time, so that a redo writes the same bytes."""
    lease, _ = claimed(ledger)
    intent = ledger.intend(lease, 1, 0, 9)

    _, position = claimed(ledger, "w2")

    assert position.intent == intent
    assert position.next_offset == 0


def test_intending_the_same_block_twice_is_one_intent(ledger: Ledger) -> None:
    """The first try may have been committed without our hearing of it."""
    lease, _ = claimed(ledger)

    assert ledger.intend(lease, 1, 0, 9) == ledger.intend(lease, 1, 0, 9)


@pytest.mark.parametrize(("incarnation", "first"), [(1, 5), (2, 0)])
def test_a_block_elsewhere_than_at_the_end_stops_us(ledger: Ledger, incarnation: int, first: int) -> None:
    """A block begins where the last one ended, in the partition's incarnation."""
    lease, _ = claimed(ledger)

    with pytest.raises(Stop):
        ledger.intend(lease, incarnation, first, 9)


def test_a_second_open_block_stops_us(ledger: Ledger) -> None:
    """One at a time, whatever its offsets."""
    lease, _ = claimed(ledger)
    ledger.intend(lease, 1, 0, 9)

    with pytest.raises(Stop, match="still open"):
        ledger.intend(lease, 1, 0, 5)


@pytest.mark.parametrize("call", ["intend", "seal", "abandon", "enter"])
def test_an_overtaken_owner_is_stopped(ledger: Ledger, call: str) -> None:
    """A zombie fails at whatever it does next, and changes nothing."""
    old, _ = claimed(ledger, "w1")
    intent = ledger.intend(old, 1, 0, 9)
    _, before = claimed(ledger, "w2")
    calls: dict[str, Callable[[], object]] = {
        "intend": lambda: ledger.intend(old, 1, 0, 9),
        "seal": lambda: ledger.seal(old, intent, seal()),
        "abandon": lambda: ledger.abandon(old, intent),
        "enter": lambda: ledger.enter(old, 2),
    }

    with pytest.raises(Stop, match="no longer ours"):
        calls[call]()

    assert claimed(ledger, "w2")[1] == before


def test_a_seal_may_be_repeated(ledger: Ledger) -> None:
    """The second try changes nothing, and brings no second dead letter."""
    lease, _ = claimed(ledger)
    intent = ledger.intend(lease, 1, 0, 9)
    ledger.seal(lease, intent, seal(letters=(LETTER,)))
    ledger.seal(lease, intent, seal(letters=(LETTER,)))

    assert claimed(ledger)[1].next_offset == 10


def test_a_seal_with_other_contents_stops_us(ledger: Ledger) -> None:
    """Two tries of one block that differ mean that rows were dropped under its token."""
    lease, _ = claimed(ledger)
    intent = ledger.intend(lease, 1, 0, 9)
    ledger.seal(lease, intent, seal("one"))

    with pytest.raises(Stop, match="sealed"):
        ledger.seal(lease, intent, seal("other"))


def test_a_block_that_was_never_announced_cannot_be_sealed(ledger: Ledger) -> None:
    """There is no seal without an intent."""
    lease, _ = claimed(ledger)

    with pytest.raises(Stop):
        ledger.seal(lease, Intent(1, 0, 9, 0, NOON), seal())


def test_dead_letters_are_kept_with_the_seal(
    ledger: Ledger, letters_kept: Callable[[], list[tuple[int, int, str]]]
) -> None:
    """Even one that carries characters which Postgres refuses."""
    lease, _ = claimed(ledger)
    intent = ledger.intend(lease, 1, 0, 9)
    whole = replace(LETTER, position=-1, payload=None, raw=b"\0\1")
    ledger.seal(lease, intent, seal(letters=(LETTER, whole)))

    assert sorted(letters_kept()) == [(3, -1, "value_missing"), (3, 7, "value_missing")]


def test_a_newer_incarnation_starts_over_and_remembers_sequences(ledger: Ledger) -> None:
    """Offsets start at 0 again; what was sealed under a producer's sequence stays known."""
    lease, _ = claimed(ledger)
    ledger.seal(lease, ledger.intend(lease, 1, 0, 9), seal())
    ledger.enter(lease, 2)

    _, position = claimed(ledger, incarnation=2)

    assert position == Position(2, 0, None, SealedSequences().with_added([(PRODUCER, 1)]), 0, NOON)


def test_an_incarnation_is_not_entered_over_an_open_block(ledger: Ledger) -> None:
    """Its rows may be in the store; it has to be given up first."""
    lease, _ = claimed(ledger)
    intent = ledger.intend(lease, 1, 0, 9)
    with pytest.raises(Stop):
        ledger.enter(lease, 2)

    ledger.abandon(lease, intent)
    ledger.enter(lease, 2)

    assert ledger.abandoned(lease) == (intent,)
    assert ledger.intend(lease, 2, 0, 3).incarnation == 2


def test_the_offsets_of_a_given_up_block_are_not_announced_again(ledger: Ledger) -> None:
    """What is deleted once more for the block that was given up would be the rows of the second one."""
    lease, _ = claimed(ledger)
    ledger.abandon(lease, ledger.intend(lease, 1, 0, 9))
    lease, _ = claimed(ledger, "w2")

    with pytest.raises(Stop, match="given up"):
        ledger.intend(lease, 1, 0, 3)


def test_a_worker_of_an_older_incarnation_is_stopped(ledger: Ledger) -> None:
    """Somebody has seen the newer log already."""
    lease, _ = claimed(ledger)
    ledger.enter(lease, 2)

    with pytest.raises(Stop, match="already in incarnation 2"):
        claimed(ledger, "w2", incarnation=1)


def test_each_block_is_later_than_the_one_before(ledger: Ledger) -> None:
    """Also when the clock stands still: which rows came before a block is told by its time."""
    lease, _ = claimed(ledger)
    times = []
    for offset in range(3):
        intent = ledger.intend(lease, 1, offset, offset)
        times.append(intent.intended_at)
        ledger.seal(lease, intent, seal())

    assert times[0] < times[1] < times[2]


def test_the_catalog_of_a_block_is_found_by_its_name(ledger: Ledger) -> None:
    """Blocks that are not there are left out."""
    lease, _ = claimed(ledger)
    intent = ledger.intend(lease, 1, 0, 4)

    assert ledger.versions(lease, {(1, 0), (1, 5), (2, 0)}) == {(1, 0): intent.catalog_version}


def test_fills_are_sealed_with_their_block(ledger: Ledger) -> None:
    """The next owner reads them, the oldest first; a seal that is repeated adds nothing."""
    lease, _ = claimed(ledger)
    fills = []
    for offset in range(2):
        intent = ledger.intend(lease, 1, offset, offset)
        fill = Fill(
            "fil_1", "mer_a", "mtr_1", NOON, NOON + timedelta(hours=1), intent.catalog_version, intent.intended_at
        )
        fills.append(fill)
        for _ in range(2):
            ledger.seal(lease, intent, replace(seal(), fills=(fill,)))

    assert ledger.fills(claimed(ledger)[0]) == tuple(fills)
    assert ledger.fills(ledger.claim(TOPIC, 3, "w1", 1)[0]) == ()
