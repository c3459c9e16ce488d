"""The command ``millrace apply``."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import typer
from sqlalchemy import Engine
from typer.testing import CliRunner

from clickhouse.client import UsageStore
from core.errors import Refused
from runtime.commands.apply import apply
from tests.catalog.builders import CUSTOMER, METER, catalog_text, scalar


@pytest.fixture
def stores(usage_store: UsageStore, stores_env: None) -> UsageStore:
    """The command's settings point at fresh stores."""
    return usage_store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A catalog file."""
    path = tmp_path / "catalog.yaml"
    path.write_text(catalog_text())
    return path


def run(*arguments: str | Path, answer: str = "") -> str:
    """Run the command; what it printed."""
    app = typer.Typer()
    app.command()(apply)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=answer, catch_exceptions=False)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout


def mirrored(store: UsageStore) -> list[tuple[str, ...]]:
    """Who the usage store knows."""
    return store.query_frame("SELECT subject, name, zone, currency FROM customers FINAL").rows()


def test_a_file_is_applied_after_a_yes(stores: UsageStore, books: Engine, file: Path) -> None:
    """The plan is shown, the answer taken, the catalog written, its customers copied beside the usage."""
    printed = run(file, answer="y\n")

    assert "  + customer c-1: name One; zone Europe/Berlin; currency USD\n" in printed
    assert printed.endswith("catalog version 1: 6 created, 0 changed\n")
    assert scalar(books, "SELECT count(*) FROM subscriptions") == 1
    assert mirrored(stores) == [("c-1", "One", "Europe/Berlin", "USD")]


@pytest.mark.parametrize(("flags", "answer"), [((), "n\n"), (("--dry-run",), ""), (("--dry-run", "--yes"), "")])
def test_without_a_yes_nothing_is_written(
    stores: UsageStore, books: Engine, file: Path, flags: tuple[str, ...], answer: str
) -> None:
    """Looking is free."""
    assert run(file, *flags, answer=answer).endswith("nothing was written\n")

    assert scalar(books, "SELECT version FROM catalog_version") == 0


def test_applying_again_asks_nothing_and_mends_the_copy(stores: UsageStore, file: Path) -> None:
    """The second time there is nothing to do; a copy that got lost is made again."""
    run(file, "--yes")
    stores.command("TRUNCATE TABLE customers")

    assert run(file).endswith("nothing to do: the catalog says so already (version 1)\n")
    assert len(mirrored(stores)) == 1


def test_a_renamed_customer_is_renamed_in_the_copy(stores: UsageStore, file: Path) -> None:
    """The later version wins."""
    run(file, "--yes")
    file.write_text(catalog_text(customers=CUSTOMER.replace("One", "'[bold]Uno'")))

    assert "  ~ customer c-1: name One -> [bold]Uno\n" in run(file, "--yes")
    assert mirrored(stores) == [("c-1", "[bold]Uno", "Europe/Berlin", "USD")]


def test_json_is_one_line(stores: UsageStore, file: Path) -> None:
    """A program reads whether it was applied, the version, and every change."""
    said = orjson.loads(run(file, "--yes", "--json"))

    assert (said["applied"], said["version"], said["created"], said["unchanged"]) == (True, 1, 6, 0)
    assert [change["kind"] for change in said["merchants"][0]["changes"]][:2] == ["merchant", "meter"]
    assert orjson.loads(run(file, "--dry-run", "--json"))["applied"] is False


def test_a_wrong_expression_is_refused_with_its_field_and_place(stores: UsageStore, books: Engine, file: Path) -> None:
    """A right one is shown and applied; a wrong one changes nothing, and says where it is wrong."""
    right = METER.replace("value: Tokens", "expression: properties.Tokens * 2")
    file.write_text(catalog_text(meters=right))
    assert "; aggregation sum; expression properties.Tokens * 2; " in run(file, "--yes")
    file.write_text(catalog_text(meters=right.replace("* 2", "* (2")))

    with pytest.raises(Refused) as refused:
        run(file, "--yes")

    (problem,) = refused.value.problems
    assert (problem.field, problem.code) == ("meters[0].expression", "expression_invalid")
    assert problem.message == "at character 23: expected ')', not the end"
    assert scalar(books, "SELECT version FROM catalog_version") == 1


def test_a_file_that_cannot_be_read_is_refused(stores: UsageStore, tmp_path: Path) -> None:
    """The message says which file and why."""
    with pytest.raises(Refused, match=r"cannot read .*nothing\.yaml: No such file"):
        run(tmp_path / "nothing.yaml")
