"""The bench's report and the README's summary."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import typer

from benchmarks.about import about_machine
from benchmarks.bench import Options
from benchmarks.report import BEGIN, END, append_runs, write_readme, write_report
from benchmarks.result import Bar, Failed, Plot, Result, Series, Table
from benchmarks.sections import SECTIONS, chosen

ABOUT = about_machine(Options(quick=True, log="embedded"))
LINE = Result(
    name="line",
    title="The line",
    figures={"events_per_second": 12_345},
    tables=[Table("Cost", ("part", "µs"), [("gateway", "1.5")])],
    bars=[Bar("rate", 12_345, 200_000, "at least"), Bar("cost", 4, 5, "at most")],
    plots=[Plot("cpu", "CPU", "bars", "", "µs", [Series("µs", [0.0], [1.5])], labels=["gateway"])],
    notes=["Measured."],
)
BROKEN = Failed("overload", "TimeoutError: too late", "benchmarks/results/logs")


def test_a_run_is_a_line_a_section(tmp_path: Path) -> None:
    """Appended, with what it ran on, whether bars hold, and what failed."""
    for _ in range(2):
        append_runs(ABOUT, [LINE, BROKEN], tmp_path)

    lines = [orjson.loads(line) for line in (tmp_path / "runs.jsonl").read_bytes().splitlines()]

    assert [line["section"] for line in lines] == ["line", "overload"] * 2
    assert [bar["holds"] for bar in lines[0]["bars"]] == [False, True]
    assert lines[1]["failed"] == "TimeoutError: too late"
    assert lines[0]["cores"] == ABOUT["cores"]


def test_the_report_shows_tables_drawings_bars_and_failures(tmp_path: Path) -> None:
    """As Markdown beside its drawings."""
    text = write_report(ABOUT, [LINE, BROKEN], tmp_path).read_text(encoding="utf-8")

    assert "| line | rate | 1.234e+04 | at least 2e+05 | **no** |" in text
    assert "| gateway | 1.5 |" in text
    assert "overload: failed" in text
    assert "plots/cpu.svg" in text
    assert "<svg" in (tmp_path / "plots" / "cpu.svg").read_text(encoding="utf-8")


def test_the_summary_goes_between_the_marks_of_the_readme(tmp_path: Path) -> None:
    """And replaces the one before; what stands around it stays."""
    readme = tmp_path / "README.md"
    readme.write_text(f"# Before\n{BEGIN}\nyesterday\n{END}\n# After\n", encoding="utf-8")

    for _ in range(2):
        write_readme(ABOUT, [LINE, BROKEN], readme)

    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Before\n{BEGIN}\n")
    assert text.endswith(f"{END}\n# After\n")
    assert "yesterday" not in text
    assert text.count("| cost | 4 | at most 5 | holds |") == 1
    assert (tmp_path / "docs/how-fast/cpu.svg").exists()


def test_sections_that_need_the_line_bring_it_along() -> None:
    """In their order; a quick run leaves out what takes minutes."""
    assert chosen("overload", quick=True) == ["line", "overload"]
    assert chosen("envelopes", quick=True) == ["envelopes"]
    assert chosen("", quick=False) == list(SECTIONS)
    assert "soak" not in chosen("", quick=True)
    with pytest.raises(typer.BadParameter, match="no such section"):
        chosen("speed", quick=True)
