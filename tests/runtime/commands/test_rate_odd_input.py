"""``millrace rate`` given what nobody should give it: a sentence with the next step, and never a stack trace."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.cli import main

UNIT = '{"model": "per_unit", "unit_price": "0.1"}'
HALF_PAIR = "\\ud800"
DEEP = "[" * 100_000
MANY_FIELDS = '{"model": "per_unit", ' + ", ".join(f'"f{number}": 1' for number in range(400_000)) + "}"
MANY_TIERS = '{"model": "volume", "tiers": [' + '{"up_to": "1", "unit_price": "1"},' * 250_000 + "{}]}"

# What stands in the file, and a part of what is told. The files are 10 MB where they are called many.
BAD_FILES = {
    "empty": (b"", "there is nothing in it; a price is one mapping of fields"),
    "blank": (b" \n\t ", "there is nothing in it"),
    "broken": (b'{"model": "per_unit", ', "not JSON"),
    "two": (UNIT.encode() * 2, "not JSON: Extra data"),
    "no text": (b"\xff\xfe\x00", "not JSON"),
    "a number": (b"3", "the price is not a JSON object"),
    "nothing": (b"null", "the price is not a JSON object but nothing"),
    "NaN": (b'{"model": "per_unit", "unit_price": NaN}', "NaN is not a number"),
    "too large a number": (b'{"model": "per_unit", "unit_price": 1e400}', "unit_price"),
    "many digits": (b'{"model": "per_unit", "unit_price": ' + b"9" * 10_000 + b"}", "not JSON"),
    "deep": (DEEP.encode(), "too many levels inside each other"),
    "deep in a field": (f'{{"model": {"[" * 500 + "]" * 500}}}'.encode(), "must be a text"),
    "many fields": (MANY_FIELDS.encode(), "mend these 100 faults first"),
    "many tiers": (MANY_TIERS.encode(), "has 250001 entries; 200 is the most"),
    "a long name": (b'{"model": "per_unit", "' + b"x" * 10_000_000 + b'": 1}', "is unknown here"),
    "half a letter": (f'{{"model": "per_unit", "{HALF_PAIR}": 1}}'.encode(), "not JSON"),
    "given twice": (b'{"model": "flat", "model": "flat"}', "a field is given twice"),
}
BAD_YAML = {
    "empty": (b"", "must hold one document, not 0"),
    "two": (b"model: flat\n---\nmodel: flat\n", "must hold one document, not 2"),
    "broken": (b"model: [", "did not find expected node content"),
    "alias": (b"a: &a 1\nb: *a\n", "anchors and aliases are not allowed"),
    "deep": (b"[" * 5_000, "nested deeper than"),
}
BAD_WORDS = {
    "no usage": ((), "give --price with one of"),
    "two usages": (("--quantity", "1", "--parts", "1"), "give --price with one of"),
    "NaN": (("--quantity", "NaN"), "'NaN' is not a decimal number"),
    "infinity": (("--quantity", "-Infinity"), "is not a decimal number"),
    "1e400": (("--quantity", "1e400"), "more than 19 digits before the point"),
    "1e-400": (("--quantity", "1e-400"), "more than 12 decimal places"),
    "many digits": (("--quantity", "9" * 100_000), "is not a decimal number"),
    "nothing": (("--quantity", ""), "is not a decimal number"),
    "a comma too much": (("--cumulative", "1,,2"), "cumulative[1]"),
    "no parts": (("--parts", ""), "parts[0]"),
    "an unknown currency": (("--quantity", "1", "--currency", "usd"), "is not a currency code"),
    "no file": (("--events", "nowhere.ndjson"), "cannot read nowhere.ndjson"),
    "a folder": (("--events", "."), "cannot read ."),
    "an odd letter": (("--quantity", "1\udc80"), "is not a decimal number"),
}
BAD_EVENTS = {
    "empty": (b"", "has no event: an event is one line"),
    "broken": (b'1\n{"amount": \n', "line 2: not JSON"),
    "NaN": (b"1\nNaN\n", "line 2: not JSON: NaN is not a number"),
    "no amount": (b'{"size": "1"}', "has no amount"),
    "1e400": (b'{"amount": 1e400}', "line 1.amount"),
    "many faults": (b"x1\n".replace(b"x", b'"x"\n') * 500_000, "line 1 'x' is not a decimal number"),
}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command as the console script does, in a folder with a price; whatever it raises, the test raises."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "price.json").write_text(UNIT)

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["millrace", "rate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


def refused(done: Done, said: str) -> None:
    """Fails unless it was refused in a few words, with nothing worked out."""
    assert (done.code, done.out) == (2, ""), done
    assert said in done.err
    assert len(done.err) < 400_000


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_price_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    """Empty, broken, huge, deep, or with numbers that are none."""
    content, said = BAD_FILES[name]
    (tmp_path / "price.json").write_bytes(content)

    refused(run("--price", "price.json", "--quantity", "1"), said)


@pytest.mark.parametrize("name", BAD_YAML)
def test_a_yaml_file_that_is_no_price_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    """As a catalog file is."""
    content, said = BAD_YAML[name]
    (tmp_path / "price.yaml").write_bytes(content)

    refused(run("--price", "price.yaml", "--quantity", "1"), said)


@pytest.mark.parametrize("name", BAD_WORDS)
def test_odd_usage_is_refused(run: Run, name: str) -> None:
    """A quantity that is none, and files that are not there."""
    words, said = BAD_WORDS[name]

    refused(run("--price", "price.json", *words), said)


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_odd_events_are_refused_by_their_line(run: Run, tmp_path: Path, name: str) -> None:
    """The line is told."""
    content, said = BAD_EVENTS[name]
    (tmp_path / "events.ndjson").write_bytes(content)

    refused(run("--price", "price.json", "--events", "events.ndjson"), said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there is nothing in it; cases are a list"),
        ("{}", "cases must be a list"),
        ("3", "cases must be a list"),
        (f"[{'1,' * 100_000}1]", "at most 100,000 cases"),
        (DEEP, "too many levels inside each other"),
        (f'[{{"name": "{HALF_PAIR}"}}]', "not JSON"),
    ],
)
def test_a_file_of_no_cases_is_refused(run: Run, tmp_path: Path, content: str, said: str) -> None:
    """Nothing of it is worked out."""
    (tmp_path / "cases.json").write_text(content)

    refused(run("--cases", "cases.json"), said)


def test_an_odd_case_has_its_error_in_its_place(run: Run, tmp_path: Path) -> None:
    """Whatever it is called; the exit code says that something was not worked out."""
    odd = ["null", "[]", '{"name": 12345678901234567890123, "price": {}}', f'{{"price": {UNIT}, "quantity": "1e400"}}']
    (tmp_path / "cases.json").write_text(f'[{", ".join(odd)}, {{"name": "good", "price": {UNIT}, "quantity": -3}}]')

    done = run("--cases", "cases.json")

    answers = json.loads(done.out)
    assert (done.code, done.err) == (3, "")
    assert ["error" in answer for answer in answers] == [True, True, True, True, False]
    assert (answers[4]["name"], answers[4]["amount"]) == ("good", "-0.30")


def test_a_negative_quantity_is_a_correction(run: Run) -> None:
    """It is charged as one, exactly."""
    done = run("--price", "price.json", "--quantity", "-0.000000000001")

    assert (done.code, json.loads(done.out)["unrounded"]) == (0, "-0.0000000000001")
