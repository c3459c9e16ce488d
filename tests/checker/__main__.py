"""``python -m tests.checker LEDGER --home HOME``: check I1 to I9 and print a row for each."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

import orjson

from runtime.settings import load_settings
from runtime.traffic.ledger import load_ledger
from tests.checker.check import CAUGHT_UP_WITHIN_S, check_all


def main() -> int:
    """Exit code 0 only when every invariant holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("ledger", type=Path, help="the generator's ledger, as 'millrace simulate --ledger' writes it")
    parser.add_argument("--home", type=Path, help="the stack's folder; MILLRACE_HOME by default")
    parser.add_argument("--caught-up-within", type=float, default=CAUGHT_UP_WITHIN_S, help="seconds that I8 allows")
    parser.add_argument("--no-close", action="store_true", help="do not close the month again for I4")
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    given = parser.parse_args()
    env = dict(os.environ) | ({"MILLRACE_HOME": str(given.home)} if given.home else {})
    results = check_all(
        load_ledger(given.ledger),
        load_settings(env),
        caught_up_within_s=given.caught_up_within,
        close_again=not given.no_close,
    )
    if given.json:
        sys.stdout.write(orjson.dumps([{**asdict(one), "holds": one.holds} for one in results]).decode() + "\n")
    else:
        sys.stdout.write("\n".join(one.row() for one in results) + "\n")
    return 0 if all(one.holds for one in results) else 1


raise SystemExit(main())
