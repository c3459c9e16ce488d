"""The calculator of machines: its formulae by hand, how it grows, and that its page says what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from benchmarks.draw import draw
from benchmarks.sizing import amount, machines_plot, main, page_text, read_amount, with_own
from benchmarks.sizing_figures import AS_MEASURED, Costs, Wanted
from benchmarks.sizing_model import bounds_of, gateway_us, size

PAGE = Path(__file__).parents[2] / "docs/sizing.md"
ROUND = replace(
    AS_MEASURED,
    costs=replace(
        Costs(),
        gateway_us=2.0,
        request_us=500.0,
        worker_us=2.0,
        insert_us=3.0,
        message_us=100.0,
        worker_block_us=1_000.0,
        clickhouse_us=5.0,
        clickhouse_block_us=10_000.0,
        broker_us=1.0,
        postgres_block_us=2_000.0,
        gather_s=0.01,
        block_s=0.5,
        log_bytes=100.0,
        store_bytes=100.0,
        key_memory_bytes=10.0,
        key_file_bytes=50.0,
        key_file_max=1e9,
    ),
    wanted=replace(Wanted(), busy_share=0.5, horizon_days=1, log_days=1, kept_days=10),
)


def test_a_rate_worked_out_by_hand() -> None:
    """Sixty million a minute are a million a second: every step of the page's formulae with round figures."""
    sized = size(60e6, ROUND)

    assert sized.events_per_second == 1e6
    assert sized.keys == 86.4e9
    assert (sized.partitions, sized.partitions_by) == (87, "keys")
    # A gateway spends 2 + 500/500 µs an event: six processes at half of a core's time. Each gathers 1,667 events, and
    # 52,200 messages of 19 events are 5.2 of a worker's 7.4 cores.
    assert gateway_us(ROUND.costs, 500) == 3.0
    assert [need.processes for need in sized.needs[:2]] == [6, 15]
    assert sized.events_a_message == pytest.approx(1e6 * 0.01 / 6 / 87)
    assert sized.blocks_per_second == 87 / 0.5
    assert sized.cores == pytest.approx(
        {
            "gateway": 3.0,
            "worker": 2.0 + 100 / sized.events_a_message + 0.174,
            "broker": 3.0,
            "clickhouse": 5.0 + 1.74,
            "postgres": 0.348,
        }
    )
    assert sized.stored.log_bytes == pytest.approx(86_400 * 1e6 * 100 * 3)
    assert sized.stored.store_bytes == pytest.approx(86_400 * 1e6 * 100 * 10 * 2)
    assert sized.stored.key_memory_bytes == pytest.approx(864e9)
    # 864 GB over three quarters of 64; 26 TB and 173 TB over three quarters of 8, the latter as two copies.
    assert {need.part: (need.machines, need.reason) for need in sized.needs} == {
        "gateway": (1, "processor"),
        "worker": (18, "memory"),
        "broker": (5, "disk"),
        "clickhouse": (30, "disk"),
        "postgres": (2, "copies"),
    }


@pytest.mark.parametrize("rate", [1.0, 1e3, 1e6, 1e8, 1e10])
def test_more_events_never_take_less(rate: float) -> None:
    """Of anything; and what is stored grows in proportion."""
    small, large = size(rate), size(rate * 10)

    assert large.partitions >= small.partitions
    assert all(more.machines >= less.machines for less, more in zip(small.needs, large.needs, strict=True))
    assert large.stored.store_bytes == pytest.approx(10 * small.stored.store_bytes)
    assert small.events_a_block <= AS_MEASURED.costs.block_events_max


def test_a_small_rate_takes_one_of_everything_and_breaks_nothing() -> None:
    """But for copies, which are there for safety; all bounds hold."""
    sized = size(1_000)

    assert sized.partitions == 4
    assert [need.machines for need in sized.needs] == [1, 1, 3, 2, 2]
    assert all(bound.times <= 1 for bound in bounds_of(sized))


def test_what_breaks_comes_with_the_worst_first() -> None:
    """Thirty-five days of keys outgrow a machine's memory before anything else does."""
    bounds = bounds_of(size(1e6))

    assert [bound.times for bound in bounds] == sorted((bound.times for bound in bounds), reverse=True)
    assert bounds[0].what == "memory for keys, one worker machine"
    assert bounds[0].times > 1


def test_a_set_number_of_partitions_stays_and_what_it_breaks_is_told() -> None:
    """The number never changes in life: four partitions cannot tell so many keys apart."""
    own = with_own(AS_MEASURED, ["partitions=4"])
    sized = size(1e7, own)

    assert sized.partitions == 4
    assert "keys of a partition in one file" in {bound.what for bound in bounds_of(sized, own) if bound.times > 1}


def test_single_events_cost_the_gateway_their_requests() -> None:
    """A request of one event is paid for by it alone."""
    own = with_own(AS_MEASURED, ["events_a_request=1"])

    assert size(1e8, own).cores["gateway"] > 20 * size(1e8).cores["gateway"]


@pytest.mark.parametrize(("text", "value"), [("1M", 1e6), ("2.5G", 2.5e9), ("10k", 1e4), ("7", 7.0)])
def test_amounts_are_read_as_they_are_written(text: str, value: float) -> None:
    """With a unit or without."""
    assert read_amount(text) == value
    assert read_amount(amount(value).replace(" ", "")) == value


def test_amounts_have_three_digits_and_carry_into_the_next_unit() -> None:
    """No ``1e+03 k``."""
    assert [amount(value) for value in (999.9, 999_960, 1_234_567, 0.0417)] == ["1 k", "1 M", "1.23 M", "0.0417"]


def test_the_command_prints_the_table_for_ones_own_figures() -> None:
    """And refuses names and rates that mean nothing."""
    app = Typer()
    app.command()(main)
    shown = CliRunner().invoke(app, ["--events-per-minute", "1M", "--set", "log_days=1", "--figures"])
    wrong = [
        CliRunner().invoke(app, arguments)
        for arguments in (["--set", "speed=1"], ["--events-per-minute", "0"], ["--events-per-minute", "many"])
    ]

    assert shown.exit_code == 0
    assert "| log on disk | 259 GB |" in shown.output
    assert "| `log_days` | 1 |" in shown.output
    assert [result.exit_code for result in wrong] == [2, 2, 2]


def test_the_page_says_what_the_calculator_says() -> None:
    """``python -m benchmarks.sizing --page docs/sizing.md`` makes it so."""
    text = PAGE.read_text(encoding="utf-8")

    assert page_text(text) == text


def test_the_drawing_can_be_made(tmp_path: Path) -> None:
    """One line a part, over five decades."""
    plot = machines_plot()

    assert [series.name for series in plot.series] == ["gateway", "worker", "broker", "clickhouse", "postgres"]
    assert "<svg" in draw(plot, tmp_path).read_text(encoding="utf-8")
