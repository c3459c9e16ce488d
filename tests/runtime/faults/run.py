"""Runs the fault matrix and tells what held: ``python -m tests.runtime.faults.run [--log LOG] [--stack-only]``.

The rows on a stack run on both logs at once, since they mostly wait; the tests beside it run once, afterwards, unless
``make test`` has run them just now. The page (``--write``) is written only when all was run on both logs and nothing
was broken. Ends with exit code 1 when something was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

from runtime.settings import LogKind
from streams.warm_up import warm_up
from tests.runtime.faults.field import CHUNK_EVENTS, RATE, ROW_CHUNKS
from tests.runtime.faults.matrix import MATRIX
from tests.runtime.faults.report import Result, page, read_results, table
from tests.runtime.faults.stack_process import ROOT

MATRIX_TESTS = "tests/runtime/faults/test_matrix.py"


def stack_tests(rows: str | None) -> tuple[str, ...]:
    """The rows on a stack: all, or some by their numbers, and the month that is closed after them."""
    if rows is None:
        return (MATRIX_TESTS, "-m", "faults")
    some = [f"{MATRIX_TESTS}::test_a_row_of_the_matrix_holds[row-{number}]" for number in rows.split(",")]
    return (*some, f"{MATRIX_TESTS}::test_the_month_of_all_rows_is_billed_right", "-m", "faults")


def run_pytest(log: LogKind, into: Path, *arguments: str) -> list[Result]:
    """One pytest, its results read back; a run without results counts as broken."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-o", "junit_family=xunit1", f"--junitxml={into}"]
    # Engines given by URL would be killed, or not be the log that the row is about.
    env = {name: value for name, value in os.environ.items() if name not in URLS} | {"MILLRACE_LOG": log}
    done = subprocess.run([*command, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    code, results = done.returncode, read_results(into)
    sys.stdout.write(f"{log}, {arguments[0]} …: {done.stdout.splitlines()[-1:]}\n{done.stdout if code else ''}")
    sys.stdout.flush()
    if code and not any(result.failure for result in results):
        results.append(Result(" ".join(arguments), f"pytest ended with {code}", 0.0))
    return results


URLS = frozenset({"MILLRACE_KAFKA", "MILLRACE_CLICKHOUSE_URL", "MILLRACE_POSTGRES_URL"})


def main() -> int:
    """Run, print the table, perhaps write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.runtime.faults.run", description=__doc__)
    parser.add_argument("--log", choices=get_args(LogKind), action="append", help="only this log; both by default")
    parser.add_argument("--stack-only", action="store_true", help="leave out what `make test` runs, too")
    parser.add_argument("--rows", help="only these rows on a stack, by number: 2,9,17")
    parser.add_argument("--write", type=Path, help="the page to write")
    given = parser.parse_args()
    logs: list[LogKind] = given.log or list(get_args(LogKind))
    # Kept on disk for the workers of all rows: the first of them has no time for it.
    warm_up()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-faults-") as folder:
        tests = list(dict.fromkeys(test for row in MATRIX for test in row.tests))
        rows = stack_tests(given.rows)
        with ThreadPoolExecutor(len(logs)) as both:
            runs = {log: both.submit(run_pytest, log, Path(folder) / f"{log}.xml", *rows) for log in logs}
        found: dict[LogKind, list[Result]] = {log: run.result() for log, run in runs.items()}
        others = [] if given.stack_only else run_pytest("embedded", Path(folder) / "others.xml", *tests)
    seconds = time.monotonic() - began_s
    sys.stdout.write(f"\n{table(found, others)}\n{seconds:.0f} s\n")
    broken = any(result.failure for results in (*found.values(), others) for result in results)
    if given.write and others and given.rows is None and len(found) == len(get_args(LogKind)) and not broken:
        given.write.write_text(page(found, others, seconds, ROW_CHUNKS * CHUNK_EVENTS, int(RATE)), encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
