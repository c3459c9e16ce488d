"""How cost grows: slopes of known laws, and that what is measured is what it says."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks.blocks import STORED_AT
from benchmarks.draw import draw
from benchmarks.growth import EXPONENT_MAX, bars_of, fixed_us
from benchmarks.growth_blocks import computed, requests_in, sent_of
from benchmarks.growth_merchants import plan_of
from benchmarks.growth_rating import measure_rating
from benchmarks.growth_stream import index_of
from benchmarks.sections import chosen
from benchmarks.seeded_rows import snapshot_of
from benchmarks.slope import Axis, Growth, growths_of, shortened
from streams.compiled import compile_catalog

SIZES = (1_000, 100_000, 1_000_000)


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.3, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(exponent: float) -> None:
    """Whatever stands before it."""
    growth = Growth("work", "µs", SIZES, [7.0 * size**exponent for size in SIZES])

    assert growth.exponent == pytest.approx(exponent, abs=1e-9)
    assert growth.last_step == pytest.approx(exponent, abs=1e-9)


def test_the_last_step_shows_what_a_fixed_cost_hides() -> None:
    """A second once, and an expensive end: the whole slope falls, the last one rises."""
    growth = Growth("work", "µs", SIZES, [1e6 / size + (5.0 if size < 1_000_000 else 40.0) for size in SIZES])

    assert growth.exponent < 0 < growth.last_step


def test_a_table_has_a_column_a_size_and_gaps_where_nothing_was_measured() -> None:
    """Sizes of all rows together; costs with as many places as tell them apart."""
    rows = [{"size": 1, "us": 0.1234}, {"size": 1_000, "us": 12.34}]
    axis = Axis(
        "a", "merchants", [*growths_of(rows, {"us": ("work", "µs")}), Growth("more", "ns", (1, 10), (1.0, 10.0))]
    )

    table = axis.table()

    assert table.columns == ("", "unit", "1", "10", "1 k", "exponent", "of the last step")
    assert table.rows[0] == ("work", "µs", "0.123", "", "12.3", "0.67", "0.67")
    assert table.rows[1] == ("more", "ns", "1.000", "10.0", "", "1.00", "1.00")
    assert [shortened(size) for size in (999, 50_000_000, 2_500_000_000)] == ["999", "50 M", "2.5 G"]


def test_a_plot_begins_at_a_hundred_per_cent_and_can_be_drawn(tmp_path: Path) -> None:
    """On logarithmic axes both ways, so that a power law is a straight line."""
    plot = Axis("a", "keys", [Growth("work", "µs", SIZES, (2.0, 3.0, 4.0))]).plot()

    assert [series.ys for series in plot.series] == [[100.0, 150.0, 200.0]]
    assert (plot.log, plot.log_y) == (True, True)
    assert "<svg" in draw(plot, tmp_path).read_text(encoding="utf-8")


def test_bars_look_at_the_worst_cost_of_cpu_and_leave_memory_out() -> None:
    """By the whole slope, or by the last step where there is a fixed cost."""
    flat, steep = (
        Growth("a", "CPU-µs an event", SIZES, (1.0, 1.0, 1.0)),
        Growth("b", "ns a key", SIZES, (1.0, 5.0, 9.0)),
    )
    memory = Growth("c", "bytes a key", SIZES, (1.0, 1e3, 1e6))
    fixed = Growth("d", "CPU-µs a line", SIZES, (80.0, 3.0, 3.0))

    bars = bars_of(
        [Axis("events", "events", [flat, memory]), Axis("keys", "keys", [flat, steep]), Axis("lines", "lines", [fixed])]
    )

    assert [bar.holds for bar in bars] == [True, False, True]
    assert [bar.found for bar in bars] == [0.0, round(steep.exponent, 3), 0.0]
    assert {bar.wanted for bar in bars} == {EXPONENT_MAX}


def test_what_a_block_costs_however_small_it_is_is_found_beside_what_its_events_cost() -> None:
    """Of a cost of 10,000 µs a block and 2 µs an event, nearly all of the former."""
    sizes = (125, 1_000, 10_000, 50_000)

    assert fixed_us(Growth("a", "CPU-µs an event", sizes, [2 + 10_000 / size for size in sizes])) == pytest.approx(
        9_975
    )


def test_messages_are_no_larger_than_the_blocks_that_they_make() -> None:
    """Blocks come out near the size that was asked for, and every event of a block is computed."""
    plan = plan_of(20)
    sent = sent_of(list(islice(requests_in(plan), 400)), plan, 125)
    results = [result for result, _ in computed(sent, 125, compile_catalog(snapshot_of(plan)))]

    assert len(results) > 3
    assert all(125 <= result.counts.received < 250 for result in results[:-1])


def test_the_made_up_index_knows_its_keys_and_no_others() -> None:
    """So that a block beside it pays for a real probe."""
    index = index_of(50_000)
    run = index.older[0]
    since_s = int(STORED_AT.timestamp()) - 3_600
    strangers = np.setdiff1d(run.high[::7] + np.uint64(1), run.high)

    found, body = index.probe(run.high[::100].copy(), run.low[::100].copy(), since_s)
    others, _ = index.probe(strangers, np.zeros(len(strangers), np.uint64), since_s)

    assert bool(found.all())
    assert (body == run.body[::100]).all()
    assert not others.any()


def test_a_close_is_rated_once_more_than_it_is_measured() -> None:
    """What comes back is of one line, and more than nothing."""
    (row,) = measure_rating([2_000])

    assert row["size"] == 2_000
    assert row["rate_us"] > 1
    assert row["rate_bytes"] >= 2**20 / 2_000


def test_a_larger_catalog_has_more_merchants_and_nothing_else() -> None:
    """The same meters and customers each, the same number of events."""
    small, large = (snapshot_of(plan_of(merchants)) for merchants in (1, 100))

    assert (len(large.meters), large.customers.height) == (100 * len(small.meters), 100 * small.customers.height)
    assert plan_of(1).events == plan_of(100).events


def test_a_quick_run_leaves_growth_out_unless_it_is_asked_for() -> None:
    """It takes minutes, and needs nothing of the line."""
    assert "growth" not in chosen("", quick=True)
    assert chosen("growth", quick=False) == ["growth"]
