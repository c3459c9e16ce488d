"""What the runs of the matrix showed, as a table for the terminal and as a page for readers."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

from runtime.settings import LogKind
from tests.runtime.faults.matrix import MATRIX, MatrixRow
from tests.runtime.faults.rows import STACK_ROWS

LOGS: tuple[LogKind, ...] = get_args(LogKind)
PAGE = Path(__file__).with_name("page.md")


@dataclass
class Result:
    """One test's outcome and what it noted. ``failure`` is empty when it held or was ``skipped``, for that reason."""

    test: str
    failure: str
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)
    skipped: str = ""


# The results of each log's run.
Logs = Mapping[LogKind, Sequence[Result]]


def read_results(path: Path) -> list[Result]:
    """The results that pytest wrote."""
    if not path.exists():
        return []
    found = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):  # noqa: S314 - written by our own pytest
        bad = [child for child in case if child.tag in {"failure", "error"}]
        name = case.attrib["name"].partition("[")[0]
        test = f"{case.attrib['classname'].replace('.', '/')}.py::{name}"
        facts = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        failure = f"{bad[0].tag}: {bad[0].attrib.get('message', '')}" if bad else ""
        # Rows that this machine cannot show.
        skipped = [child.attrib.get("message", "") for child in case if child.tag == "skipped"]
        found.append(Result(test, failure, float(case.attrib["time"]), facts, "".join(skipped)))
    return found


def on_stack(results: Iterable[Result]) -> dict[str, Result]:
    """Results of the rows that strike at a stack, by the row's number; of failed ones the test's name tells it."""
    return {result.facts["row"]: result for result in results if "row" in result.facts}


def cell(row: MatrixRow, results: Mapping[str, Result]) -> str:
    """What one log's run says of a row."""
    struck = {one.name for one in STACK_ROWS} | {"month"}
    result = results.get(row.number)
    if result is None:
        return "not shown" if row.number in struck else ""
    if result.failure:
        return "**broken**"
    facts = result.facts
    if "seed" not in facts:
        # Skipped: the list of what is left out says why.
        return "not shown"
    if "longest_s" not in facts:
        return "held"
    return f"held; {facts['longest_s']} s, {facts['caught_up_s']} s"


def beside(row: MatrixRow, results: Sequence[Result]) -> str:
    """What the row's other tests say, as a count."""
    mine = [result for result in results if result.test in row.tests]
    broken = sum(1 for result in mine if result.failure)
    if not row.tests or not results:
        return ""
    return f"**{broken} of {len(mine)} broken**" if broken or not mine else f"{len(mine)} held"


def page(logs: Logs, others: Sequence[Result], seconds: float, events: int, rate: int) -> str:
    """The whole page in Markdown."""
    rows = [(log, one) for log, results in logs.items() for one in on_stack(results).values()]
    seeds = sorted({(log, one.facts["seed"]) for log, one in rows if "seed" in one.facts})
    return PAGE.read_text(encoding="utf-8").format(
        commit=commit(),
        machine=machine(),
        minutes=f"{seconds / 60:.0f} minutes",
        events=f"{events:,}",
        rate=f"{rate:,}",
        rows="".join(lines_of(logs, others)),
        left_out="".join(f"| {row.number} | {row.target} | {why} |\n" for row, why in left_out(logs)),
        seeds=", ".join(f"{log} {seed}" for log, seed in seeds),
    )


def lines_of(logs: Logs, others: Sequence[Result]) -> Iterator[str]:
    """One line of the page for each row that is shown."""
    for row in MATRIX:
        if row.method:
            cells = [cell(row, on_stack(logs.get(log, ()))) for log in LOGS]
            columns = [row.number, row.target, row.method, row.holds, *cells, beside(row, others)]
            yield "| " + " | ".join(columns) + " |\n"


def left_out(logs: Logs) -> Iterator[tuple[MatrixRow, str]]:
    """What nothing shows, and what this run could not show, each with the reason."""
    for row in MATRIX:
        if row.left_out:
            yield row, row.left_out
        for log, results in logs.items():
            result = on_stack(results).get(row.number)
            if result is not None and result.skipped:
                yield row, f"not shown by this run on the {log} log: {result.skipped}"


def table(logs: Logs, others: Sequence[Result]) -> str:
    """Row, method, what held: for the terminal."""
    lines = [f"{'row':<7}{'method':<78}{'embedded':<22}{'apache':<22}beside"]
    for row in MATRIX:
        if row.method:
            cells = [cell(row, on_stack(logs.get(log, ()))) for log in LOGS]
            lines.append(f"{row.number:<7}{row.method[:76]:<78}{cells[0]:<22}{cells[1]:<22}{beside(row, others)}")
    lines += [f"{row.number:<7}left out: {why}" for row, why in left_out(logs)]
    broken = [one for results in (*logs.values(), others) for one in results if one.failure]
    lines += [f"BROKEN {one.test} {one.facts or ''}: {one.failure[:300]}" for one in broken]
    return "\n".join(lines)


def commit() -> str:
    """The commit that was tested, and whether the sources were changed since."""
    short = git("rev-parse", "--short", "HEAD")
    return short + (" and changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def git(*arguments: str) -> str:
    """What git says; empty outside a repository."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine() -> str:
    """What it ran on, in a few words."""
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
