"""``make bench``: measure this machine, section by section, and write down what was found.

Figures go to ``benchmarks/results/runs.jsonl`` (a line a section), a report with drawings to
``benchmarks/results/latest.md``; with ``--readme`` its summary goes into the README.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as Shown

from benchmarks.about import about_machine
from benchmarks.bench import Bench, Options
from benchmarks.report import append_runs, write_readme, write_report
from benchmarks.result import Bar, Failed, Result
from benchmarks.scene import LOGS_KEPT
from benchmarks.sections import SECTIONS, chosen
from core.clock import SystemClock
from runtime.commands.demo import ended_by_signal
from runtime.settings import LogKind

EXIT_FAILED = 1
# Drawn ten times a second, the bar took a hundredth of what is measured.
LOOKS_PER_S = 2
# Applying the catalog of a thousand merchants takes longer than a quick run has.
MERCHANTS, MERCHANTS_QUICK = 1_000, 200


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Short runs: under three minutes in all.")] = False,
    log: Annotated[LogKind, typer.Option(help="The log to run on.")] = "embedded",
    only: Annotated[str, typer.Option(help=f"Some of: {', '.join(SECTIONS)}.")] = "",
    merchants: Annotated[
        int | None, typer.Option(min=20, max=9_999, help="How many merchants send: 1,000, or 200 in a quick run.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON a section instead of tables.")] = False,
    write: Annotated[bool, typer.Option(help="Write results and report.")] = True,
    readme: Annotated[bool, typer.Option("--readme", help="Put the summary into the README as well.")] = False,
) -> None:
    """Measure the whole line and its parts on this machine, ratios within one run.

    Ends with exit code 1 when a section failed; a bar that does not hold is shown and no failure.
    """
    console = Console(highlight=False, stderr=json)
    options = Options(quick=quick, log=log, merchants=merchants or (MERCHANTS_QUICK if quick else MERCHANTS))
    with ended_by_signal():
        results = run_sections(options, chosen(only, quick=quick), console)
    about = about_machine(options)
    for result in results:
        if json:
            print(orjson.dumps(about | result.to_json()).decode())
        else:
            show(console, result)
    if write:
        append_runs(about, results)
        console.print(f"report: {write_report(about, results)}")
    if readme:
        write_readme(about, results)
    if any(isinstance(result, Failed) for result in results):
        raise typer.Exit(EXIT_FAILED)


def run_sections(options: Options, names: list[str], console: Console) -> list[Result | Failed]:
    """One after the other; one that fails does not keep the others from being measured."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    results: list[Result | Failed] = []
    with Progress(*columns, console=console, refresh_per_second=LOOKS_PER_S) as progress, ExitStack() as exits:
        task = progress.add_task("bench", total=len(names))
        current = [""]
        bench_ = Bench(
            options,
            SystemClock(),
            lambda text: progress.update(task, description=f"{current[0]}: {text}"),
            exits,
        )
        for name in names:
            current[0] = name
            bench_.say("begins")
            begun_s = bench_.clock.steady_s()
            result = run_section(bench_, name)
            console.print(f"{name}: {bench_.clock.steady_s() - begun_s:.0f} s", style="dim")
            if isinstance(result, Result):
                bench_.found[name] = result.figures
            else:
                console.print(f"[red]{name} failed[/red]: {result.why} (logs: {result.log})")
            results.append(result)
            progress.advance(task)
        progress.update(task, description="stopping")
    return results


def run_section(bench_: Bench, name: str) -> Result | Failed:
    """Measure one section. Whatever goes wrong in it is its result."""
    try:
        return SECTIONS[name](bench_)
    except Exception as error:  # noqa: BLE001 - told in the report, with the logs beside it
        bench_.keep_logs()
        return Failed(
            name, f"{type(error).__name__}: {error}"[:2_000], str(LOGS_KEPT.relative_to(LOGS_KEPT.parents[2]))
        )


def show(console: Console, result: Result | Failed) -> None:
    """A section for people."""
    if isinstance(result, Failed):
        return
    console.rule(result.title)
    for table in result.tables:
        shown = Shown(*table.columns, title=table.title)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    for bar in result.bars:
        console.print(said(bar))
    for note in result.notes:
        console.print(note, style="dim")


def said(bar: Bar) -> str:
    """A bar in a sentence."""
    mark = "[green]holds[/green]" if bar.holds else "[yellow]does not hold[/yellow]"
    return f"{bar.what}: {bar.found:,.4g}, wanted {bar.kind} {bar.wanted:,.4g}: {mark}"


if __name__ == "__main__":
    typer.run(bench)
