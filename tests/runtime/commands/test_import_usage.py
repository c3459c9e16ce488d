from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import Refused
from runtime.cli import build_app
from tests.runtime.scripted_door import open_door

ROWS = "at,who,hours\n2023-11-16,c-1,1.50\nnever,,2\n2023-11-17,c-2,3\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file, and a home without a stack."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path / "home"))
    for name in ("MILLRACE_API_KEY", "MILLRACE_GATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "hours.csv"
    path.write_text(ROWS)
    return path


def command(file: Path, *more: str) -> list[str]:
    """The command line for the small file."""
    names = ["--type", "gpu-hour", "--subject-column", "who", "--time", "at", "--value", "hours"]
    return ["import", str(file), *names, *more]


def test_a_file_is_imported_with_its_failures_listed_and_exit_code_3(file: Path, tmp_path: Path) -> None:
    """As JSON, in a file of failures, and for people."""
    failures = tmp_path / "failures.ndjson"
    with open_door() as door:
        options = ["--gateway", f"{door.url}/", "--key", "bb_k", "--zone", "Europe/Berlin"]
        result = CliRunner().invoke(build_app(), command(file, *options, "--json", "--failures", str(failures)))
        people = CliRunner().invoke(build_app(), command(file, *options, "--no-backfill"))
    assert (result.exit_code, people.exit_code) == (3, 3)
    said = json.loads(result.stdout)
    assert (said["rows"], said["accepted"], said["failed"]) == (3, 2, 1)
    assert said["failures"] == [{"row": 2, "code": "subject_missing", "message": "who is empty"}]
    assert [json.loads(line) for line in failures.read_text().splitlines()] == said["failures"]
    assert "2 rows accepted, 1 failed" in people.stdout
    assert "row 2: who is empty (subject_missing)" in people.stdout
    assert door.taken[0]["properties"] == {"amount": "1.50"}
    assert door.taken[0]["time"] == "2023-11-16T00:00:00+01:00"
    assert door.paths == ["/v1/events?backfill=true", "/v1/events"]
    assert door.keys == {"bb_k"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--key", "bb_k"], "no_gateway"),
        (["--gateway", "http://127.0.0.1:1"], "no_key"),
        (["--gateway", "http://127.0.0.1:1", "--key", "bb_k", "--delimiter", "ab"], "delimiter_invalid"),
        (["--subject", "c-1"], "subject_unclear"),
    ],
)
def test_what_is_missing_is_named_before_the_file_is_read(file: Path, options: list[str], code: str) -> None:
    """Each with a code and what to do."""
    with pytest.raises(Refused) as caught:
        CliRunner().invoke(build_app(), command(file, *options), catch_exceptions=False)
    assert caught.value.code == code
