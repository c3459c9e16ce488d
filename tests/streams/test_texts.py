"""The loops over texts find what a dictionary finds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.texts import SEED, column_of_texts, find_name, names_of, number_texts, texts_of

# Short ones over few letters meet each other; long ones are compared by words of eight.
words = st.text("abé\0", max_size=3) | st.text("ab", min_size=7, max_size=18)
pairs = st.tuples(st.integers(0, 4), words)


@given(st.lists(pairs, unique=True, max_size=40), st.lists(pairs, max_size=40))
@settings(deadline=None)
def test_a_pair_is_found_by_its_owner_and_text(known: list[tuple[int, str]], asked: list[tuple[int, str]]) -> None:
    """By its number; -1 for another owner's text, and for an owner that has none."""
    names = names_of(
        np.array([owner for owner, _ in known], np.int64), pa.array([text for _, text in known], pa.string())
    )
    numbers = {pair: number for number, pair in enumerate(known)}
    everything = [*known, *asked]
    texts = texts_of(pa.array([text for _, text in everything], pa.string()))

    found = [
        find_name(names, owner, texts.data, texts.bounds[at], texts.bounds[at + 1])
        for at, (owner, _) in enumerate(everything)
    ]

    assert found == [numbers.get(pair, -1) for pair in everything]


@given(st.lists(words, max_size=60), st.data())
@settings(deadline=None)
def test_distinct_texts_are_numbered_as_they_come(column: list[str], data: st.DataObject) -> None:
    """Equal texts have one number; places that are not chosen have none."""
    chosen = data.draw(st.lists(st.integers(-1, len(column) - 1), max_size=60))
    texts = texts_of(pa.array(["before", *column], pa.string()).slice(1))

    numbers, firsts = number_texts(texts, np.array(chosen, np.int64), SEED)

    distinct = list(dict.fromkeys(column[place] for place in chosen if place >= 0))
    assert column_of_texts(texts).take(pa.array(firsts)).to_pylist() == distinct
    assert numbers.tolist() == [distinct.index(column[place]) if place >= 0 else -1 for place in chosen]
