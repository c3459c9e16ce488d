"""Results as files: a line of JSON a section, a Markdown report with drawings, and the README's summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.draw import draw
from benchmarks.result import Bar, Failed, Result, Table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
BEGIN, END = "<!-- how fast: begin, written by make bench -->", "<!-- how fast: end -->"
README = ROOT / "README.md"
# What the README shows of a run besides the bars, and where its drawings are kept: results are not.
README_PLOTS = ("cpu",)
README_DRAWINGS = "docs/how-fast"

Found = Sequence[Result | Failed]


def append_runs(about: dict[str, Any], results: Found, folder: Path = RESULTS) -> None:
    """Keep the run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "runs.jsonl").open("ab") as file:
        for result in results:
            file.write(orjson.dumps(about | result.to_json()) + b"\n")


def write_report(about: dict[str, Any], results: Found, folder: Path = RESULTS) -> Path:
    """Write ``latest.md`` and its drawings; returns its path."""
    drawings = folder / "plots"
    drawings.mkdir(parents=True, exist_ok=True)
    parts = ["# What Millrace does on this machine", machine_text(about), bars_text(results)]
    parts += [failed_text(one) if isinstance(one, Failed) else section_text(one, drawings) for one in results]
    path = folder / "latest.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def machine_text(about: dict[str, Any]) -> str:
    """What it ran on."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    dirty = " with changes" if about["changed"] else ""
    kind = "quick" if about["quick"] else "full"
    return (
        f"A {kind} run of {about['at']}, commit {about['commit']}{dirty}, log: {about['log']}, "
        f"{about['merchants']:,} merchants.\n"
        f"{about['processor'] or about['machine']}, {about['cores']} cores, {about['memory_gb']} GB; everything on "
        f"this machine, the generator too. Load average at the end of the run: {about['load_before']}.\n"
        f"Python {about['python']}; {versions}.\n\n"
        "Figures of one run compare with one another; machines differ, and so do their neighbours."
    )


def bars_text(results: Found) -> str:
    """All bars in one table."""
    rows = [bar_row(result.name, bar) for result in results if isinstance(result, Result) for bar in result.bars]
    return table_text(Table("What was promised", ("section", "what", "found", "wanted", ""), rows), level=2)


def bar_row(section: str, bar: Bar) -> tuple[str, ...]:
    """A bar as a row."""
    return section, bar.what, f"{bar.found:,.4g}", f"{bar.kind} {bar.wanted:,.4g}", "holds" if bar.holds else "**no**"


def section_text(result: Result, drawings: Path) -> str:
    """A section with its tables, drawings and notes."""
    parts = [f"## {result.title}", *(table_text(table) for table in result.tables)]
    for plot in result.plots:
        path = draw(plot, drawings)
        parts.append(f"![{plot.title}]({path.parent.name}/{path.name})")
    if result.notes:
        parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(parts)


def failed_text(result: Failed) -> str:
    """A section that broke off."""
    return f"## {result.name}: failed\n\n    {result.why.splitlines()[0]}\n\nLogs: `{result.log}`"


def table_text(table: Table, level: int = 3) -> str:
    """A table in Markdown."""
    head = "| " + " | ".join(table.columns) + " |"
    rule = "|" + "|".join(" --- " for _ in table.columns) + "|"
    rows = ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join([f"{'#' * level} {table.title}", "", head, rule, *rows])


def write_readme(about: dict[str, Any], results: Found, readme: Path = README) -> None:
    """Put the summary of a run between the README's marks; raises ``ValueError`` when it has none."""
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    folder = readme.parent / README_DRAWINGS
    folder.mkdir(parents=True, exist_ok=True)
    plots = [plot for result in results if isinstance(result, Result) for plot in result.plots]
    drawn = [(plot.title, draw(plot, folder).name) for plot in plots if plot.name in README_PLOTS]
    images = [f"![{title}]({README_DRAWINGS}/{name})" for title, name in drawn]
    text = "\n\n".join([summary_text(about, results), *images])
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def summary_text(about: dict[str, Any], results: Found) -> str:
    """Machine and bars, for the README."""
    rows = [bar_row(result.name, bar)[1:] for result in results if isinstance(result, Result) for bar in result.bars]
    table = table_text(Table("", ("what", "found", "wanted", ""), rows)).split("\n", 2)[2]
    where = f"{about['processor'] or about['machine']}, {about['cores']} cores, commit {about['commit']}"
    kind = "quick" if about["quick"] else "full"
    return f"A {kind} run on {where}; the load generator and all engines share this machine.\n\n{table}"
