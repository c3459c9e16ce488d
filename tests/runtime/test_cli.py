from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.cli import COMMANDS, HELP, build_app, named

ROOT = Path(__file__).parents[2]


def test_the_list_of_commands_is_whole() -> None:
    """Each is named, and what the program is for is said."""
    shown = CliRunner().invoke(build_app(), ["--help"]).output

    words = shown.split()
    assert [name for name in COMMANDS if name not in words] == []
    assert HELP.split()[-1] in words


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_keeps_its_name_when_it_is_loaded_alone(name: str) -> None:
    """It answers for itself, and the program knows no other."""
    app = build_app(named([name, "--help"]))

    assert f"{name} [" in CliRunner().invoke(app, [name, "--help"]).output
    other = "usage" if name != "usage" else "event"
    assert CliRunner().invoke(app, [other]).exit_code == 2


@pytest.mark.parametrize("arguments", [[], ["--help"], ["nothing"]])
def test_what_names_no_command_is_answered_by_all_of_them(arguments: list[str]) -> None:
    """So that help is whole, and a slip of the pen is told the commands that there are."""
    assert list(named(arguments)) == list(COMMANDS)


@pytest.mark.parametrize(("name", "without"), [("worker", "fastapi"), ("gateway", "faust"), ("keys", "numba")])
def test_a_process_does_not_load_what_other_commands_need(name: str, without: str) -> None:
    """A third of a worker's start was spent on loading commands that it never ran."""
    script = f"""
import sys, atexit
from runtime.start import main
atexit.register(lambda: print("loaded:", {without!r} in sys.modules))
sys.argv = ["millrace", {name!r}, "--help"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "loaded: False"
