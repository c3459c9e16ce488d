"""The loops of ``measure``: events to their meters and customers, properties to numbers, texts to values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.compiled import compiled, lean
from streams.plain_number import read_plain
from streams.texts import I32, U64, Names, Places, Texts, find_name, find_text, same_text

Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

# What is known of a pair's value: none is asked for, it was read, it must be read with care, or it is not there.
NO_VALUE, READ, ODD, MISSING = 0, 1, 2, 3
COUNT, UNIQUE = 0, 5


class Properties(NamedTuple):
    """All events' properties one after the other: those of event ``i`` are ``bounds[i]`` to ``bounds[i + 1]``.

    ``numbers`` says for each which of the catalog's property names it has, -1 for others.
    """

    bounds: I32
    numbers: I32
    texts: Texts


class MeterRules(NamedTuple):
    """What the catalog says of kinds of events, their meters and the meters' filters, laid out to be read in a row.

    The members of kind k are ``members[kind_bounds[k]:kind_bounds[k + 1]]``: meter, aggregation, value property (-1
    for none), its first filter and the one after its last. A filter is a property, whether its text is to be one of
    those listed, only to be there, or judged beforehand; whether the answer is turned round, whether it is an
    alternative to the one before it, and by which row of verdicts it is judged. ``values`` finds (filter, listed text).
    """

    kind_bounds: I32
    members: I32
    filters: I32
    values: Names


METER, AGGREGATION, VALUE, FILTERS_FROM, FILTERS_TO = range(5)
PROPERTY, KIND, NEGATED, ALTERNATIVE, VERDICTS = range(5)
LISTED, THERE, JUDGED = range(3)


@compiled
def find_owners(  # noqa: PLR0917 - a loop takes its columns by place
    merchants: Texts, kinds: Texts, subjects: Texts, merchant_names: Names, kind_names: Names, customer_names: Names
) -> tuple[Places, Places]:
    """Each event's kind (merchant and type) and customer (merchant and subject) by number; -1 for unknown ones."""
    bounds, data = merchants.bounds, merchants.data
    owners = np.full(len(bounds) - 1, -1, np.int64)
    for row in range(len(owners)):
        start, end = bounds[row], bounds[row + 1]
        # Events of one request stand together.
        if (
            row
            and start - bounds[row - 1] == end - start
            and same_text(data, start, data, bounds[row - 1], end - start)
        ):
            owners[row] = owners[row - 1]
        else:
            owners[row] = find_name(merchant_names, 0, data, start, end)
    return find_all(owners, kinds, kind_names), find_all(owners, subjects, customer_names)


@compiled
def find_all(owners: Places, texts: Texts, names: Names) -> Places:
    """The number of each pair of an owner and a text; -1 for unknown ones and for those of owner -1."""
    bounds, data = texts.bounds, texts.data
    slots, firsts, own_bounds, own_data, seed = names.slots, names.firsts, names.bounds, names.data, names.seed
    found = np.full(len(owners), -1, np.int64)
    for row in range(len(owners)):
        if owners[row] >= 0:
            found[row] = find_text(
                slots, firsts, own_bounds, own_data, seed, owners[row], data, bounds[row], bounds[row + 1]
            )
    return found


@compiled
def number_properties(names: Texts, bounds: I32, known: Names) -> I32:
    """The number of each property's name, -1 for names that no meter asks for."""
    numbers = np.empty(len(names.bounds) - 1, np.int32)
    for row in range(len(bounds) - 1):
        # Most events have the names of the event before them, in the same places.
        back = bounds[row] - bounds[row - 1] if row else 0
        for at in range(bounds[row], bounds[row + 1]):
            start, end = names.bounds[at], names.bounds[at + 1]
            if row and at - back < bounds[row]:
                before = names.bounds[at - back]
                if names.bounds[at - back + 1] - before == end - start and same_text(
                    names.data, start, names.data, before, end - start
                ):
                    numbers[at] = numbers[at - back]
                    continue
            numbers[at] = find_name(known, 0, names.data, start, end)
    return numbers


@lean
def find_property(properties: Properties, row: int, number: int) -> int:
    """Where an event's property stands, -1 if it has none; a name given twice counts with its first value."""
    for at in range(properties.bounds[row], properties.bounds[row + 1]):
        if properties.numbers[at] == number:
            return at
    return -1


@lean
def filters_hold(  # noqa: PLR0917 - a loop takes its columns by place
    rules: MeterRules, first: int, end: int, properties: Properties, verdicts: Flags, row: int
) -> bool:
    """Whether some filters, or alternatives to them, hold for an event.

    A missing property is not equal to anything: ``ne`` and ``not_in`` hold for it, ``eq``, ``in`` and ``exists`` fail.
    """
    held = True
    for number in range(first, end):
        if rules.filters[number, ALTERNATIVE]:
            if held:
                continue
        elif not held:
            return False
        at = find_property(properties, row, rules.filters[number, PROPERTY])
        answer = at >= 0 and condition_holds(rules, number, properties.texts, verdicts, at)
        held = answer != (rules.filters[number, NEGATED] != 0)
    return held


@lean
def condition_holds(rules: MeterRules, number: int, texts: Texts, verdicts: Flags, at: int) -> bool:
    """Whether a filter's condition holds for the text at a place."""
    kind = rules.filters[number, KIND]
    if kind == THERE:
        return True
    if kind == JUDGED:
        return bool(verdicts[rules.filters[number, VERDICTS], at])
    return bool(find_name(rules.values, number, texts.data, texts.bounds[at], texts.bounds[at + 1]) >= 0)


@compiled
def pair_events(
    kinds: Places, properties: Properties, rules: MeterRules, verdicts: Flags
) -> tuple[Places, Places, Codes, Places, U64]:
    """Events and the meters that they feed, ordered by both: row, meter, what is known of the value, where its text
    stands (-1 without one), and the value's words.

    ``verdicts`` say of each filter that is judged beforehand (a row) for which properties it holds.
    """
    kind_bounds, members, texts = rules.kind_bounds, rules.members, properties.texts
    room = 0
    for kind in kinds:
        if kind >= 0:
            room += kind_bounds[kind + 1] - kind_bounds[kind]
    rows, meters, places = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    states, words = np.empty(room, np.int8), np.zeros((room, 2), np.uint64)
    count = 0
    for row in range(len(kinds)):
        kind = kinds[row]
        if kind < 0:
            continue
        for member in range(kind_bounds[kind], kind_bounds[kind + 1]):
            first, end = members[member, FILTERS_FROM], members[member, FILTERS_TO]
            if first < end and not filters_hold(rules, first, end, properties, verdicts, row):
                continue
            aggregation = members[member, AGGREGATION]
            rows[count], meters[count], places[count] = row, members[member, METER], -1
            states[count] = NO_VALUE
            if aggregation != COUNT:
                at = find_property(properties, row, members[member, VALUE])
                places[count] = at
                if at < 0:
                    states[count] = MISSING
                elif aggregation != UNIQUE:
                    plain, low, high = read_plain(texts.data, texts.bounds[at], texts.bounds[at + 1])
                    states[count] = READ if plain else ODD
                    words[count, 0], words[count, 1] = low, high
            count += 1
    return rows[:count], meters[:count], states[:count], places[:count], words[:count]
