"""Each situation of a partition has one right next step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.plan import AtHand, Form, Hole, Intent, Redo, Skip, Wait, plan_next
from tests.streams.builders import NOON


def at_hand(*offsets: int, rows: int = 1) -> list[AtHand]:
    """Messages of equal size."""
    return [AtHand(offset, rows) for offset in offsets]


def test_nothing_at_hand_means_waiting() -> None:
    """There is no block without a message."""
    assert plan_next(5, None, []) == Wait()


def test_sealed_offsets_are_skipped_first() -> None:
    """They were delivered again because an acknowledgement got lost."""
    assert plan_next(5, None, at_hand(3, 4, 5)) == Skip(2)


def test_a_block_takes_what_is_there() -> None:
    """All messages that follow each other, if they fit."""
    assert plan_next(5, None, at_hand(5, 6, 7)) == Form(5, 7, 3)


def test_a_block_ends_before_it_grows_too_large() -> None:
    """Messages are never split."""
    assert plan_next(0, None, at_hand(0, 1, 2, rows=40), rows_max=100) == Form(0, 1, 2)


def test_a_single_large_message_still_makes_a_block() -> None:
    """Otherwise the partition would stand still."""
    assert plan_next(0, None, at_hand(0, 1, rows=400), rows_max=100) == Form(0, 0, 1)


def test_a_block_ends_before_a_gap() -> None:
    """What comes after it is looked at next."""
    assert plan_next(0, None, at_hand(0, 1, 3)) == Form(0, 1, 2)


def test_a_gap_at_the_front_is_a_hole() -> None:
    """Going on would lose offset 5."""
    assert plan_next(5, None, at_hand(6, 7)) == Hole(5, 6)


def test_an_open_block_waits_for_all_its_messages() -> None:
    """A redo with fewer would write other rows under the same token."""
    intent = Intent(1, 5, 8, 1, NOON)

    assert plan_next(5, intent, at_hand(5, 6, 7)) == Wait()
    assert plan_next(5, intent, at_hand(5, 6, 7, 8, 9)) == Redo(intent, 4)


def test_a_redo_ignores_how_large_blocks_may_be() -> None:
    """Its offsets were fixed when it was announced, perhaps under another limit."""
    intent = Intent(1, 0, 2, 1, NOON)

    assert plan_next(0, intent, at_hand(0, 1, 2, rows=90), rows_max=100) == Redo(intent, 3)


def test_a_gap_inside_an_open_block_is_a_hole() -> None:
    """The block can never be completed from here."""
    assert plan_next(5, Intent(1, 5, 8, 1, NOON), at_hand(5, 7, 8)) == Hole(6, 7)


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 6), st.integers(0, 5))
def test_blocks_cover_the_log_without_gap_or_overlap(rows: list[int], cut: int, start: int) -> None:
    """However messages arrive, following the plan seals each offset once, in order."""
    log = [AtHand(offset, size) for offset, size in enumerate(rows)]
    sealed: list[int] = []
    waiting, next_offset = log[max(0, start - 2) : start], start
    arriving = log[start:]
    while arriving or waiting:
        waiting, arriving = waiting + arriving[:cut], arriving[cut:]
        step = plan_next(next_offset, None, waiting, rows_max=50)
        if isinstance(step, Skip):
            waiting = waiting[step.count :]
        elif isinstance(step, Form):
            sealed += range(step.first, step.last + 1)
            waiting, next_offset = waiting[step.count :], step.last + 1
        elif not arriving:
            break

    assert sealed == list(range(start, len(rows)))


def test_a_message_that_stands_alone_makes_a_block_of_its_own() -> None:
    """What it corrects must lie in sealed blocks; a redo covers its intent's offsets as ever."""
    log = [AtHand(0, 1), AtHand(1, 1), AtHand(2, 1, alone=True), AtHand(3, 1, alone=True), AtHand(4, 1)]

    assert plan_next(0, None, log) == Form(0, 1, 2)
    assert plan_next(2, None, log[2:]) == Form(2, 2, 1)
    assert plan_next(3, None, log[3:]) == Form(3, 3, 1)
    assert plan_next(4, None, log[4:]) == Form(4, 4, 1)
