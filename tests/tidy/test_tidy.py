"""What linters cannot see, read from the sources. Each rule says what it guards against."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = "api catalog clickhouse core ingest invoicing migrations rating runtime streams".split()
MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60

# A clock read outside core/clock.py cannot be moved by a test, so a month end could never be rehearsed.
CLOCK_READS = {
    *(("datetime", name) for name in ("now", "utcnow", "today")),
    *(("date", name) for name in ("today",)),
    *(("time", name + unit) for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")),
}
# A float near money turns 0.1 + 0.2 into somebody's wrong invoice.
EXACT_PLACES = "core/money.py core/quantity.py catalog/ rating/ invoicing/ streams/window streams/value".split()
VAGUE_NAMES = re.compile(r"(^|_)(utils?|helpers?|manager|service|misc|common)(_|$)")


def sources() -> list[Path]:
    """Every module of the product."""
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def everything() -> list[Path]:
    """Every module of the product, its tests and its benchmarks."""
    return [*sources(), *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]


def name_of(path: Path) -> str:
    """A module's path as people write it."""
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    """A module, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """All calls in a module."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_no_clock_is_read_outside_the_clock() -> None:
    """Only core/clock.py asks for the time."""
    found = [
        f"{name_of(path)}:{call.lineno}"
        for path in sources()
        if name_of(path) != "core/clock.py"
        for call in calls(tree_of(path))
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and (call.func.value.id, call.func.attr) in CLOCK_READS
    ]

    assert found == []


def test_no_float_comes_near_a_quantity_or_a_price() -> None:
    """Where numbers are billed there is no float literal, no float() and no floating column type."""
    found = []
    for path in sources():
        if not any(name_of(path).startswith(place) for place in EXACT_PLACES):
            continue
        for node in ast.walk(tree_of(path)):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            named = isinstance(node, ast.Name) and node.id == "float"
            column = isinstance(node, ast.Attribute) and node.attr in {"Float32", "Float64"}
            if literal or named or column:
                found.append(f"{name_of(path)}:{getattr(node, 'lineno', '?')}")

    assert found == []


def test_modules_are_short() -> None:
    """A module over 300 lines holds more than one verb."""
    found = {
        name_of(path): lines
        for path in everything()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES_MAX
    }

    assert found == {}


def test_functions_are_short() -> None:
    """A function of more than 60 lines does not fit a screen and a head."""
    found = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in everything()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]

    assert found == []


def test_only_the_database_module_commits() -> None:
    """A commit in the middle of the code splits what must happen together."""
    found = [
        f"{name_of(path)}:{call.lineno}"
        for path in sources()
        if name_of(path) != "core/db.py"
        for call in calls(tree_of(path))
        if isinstance(call.func, ast.Attribute) and call.func.attr == "commit" and not call.args
    ]

    assert found == []


def test_only_runtime_reads_the_environment() -> None:
    """Two parts that read the same variable differently are found out in production."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in sources()
        if not name_of(path).startswith("runtime/")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]

    assert found == []


def test_only_commands_print() -> None:
    """A print in a stage is a log line that nobody finds."""
    found = [
        f"{name_of(path)}:{call.lineno}"
        for path in sources()
        if not name_of(path).startswith("runtime/commands/")
        for call in calls(tree_of(path))
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]

    assert found == []


def test_file_names_say_what_happens_in_them() -> None:
    """A drawer called utils is where the next reader will not look."""
    assert [name_of(path) for path in sources() if VAGUE_NAMES.search(path.stem)] == []


def test_tests_have_no_package_files() -> None:
    """An __init__.py under tests makes tests/clickhouse shadow the product's clickhouse."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_our_packages_are_the_ones_imported(package: str) -> None:
    """No dependency's package hides one of ours."""
    spec = importlib.util.find_spec(package)

    assert spec is not None
    assert spec.submodule_search_locations is not None
    assert Path(next(iter(spec.submodule_search_locations))).resolve() == (ROOT / package).resolve()


def test_every_package_is_listed_for_the_wheel() -> None:
    """A package that is not listed is missing for whoever installs the wheel, and only for them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(PACKAGES)


def test_every_test_says_its_behaviour() -> None:
    """A failing test is read by somebody who did not write it."""
    found = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert found == []


def test_tables_of_merchants_name_their_merchant() -> None:
    """A table without merchant_id cannot be guarded; each one without it is listed here with its reason."""
    ours = {
        "catalog_version",  # one counter for all
        "stream_incarnations", "stream_partitions", "stream_blocks",  # a partition carries every merchant
        "audit_runs", "audit_repairs",  # an audit looks at every merchant; a finding names its own
        "dead_letter_decisions",  # about one dead letter, which names its merchant where it has one
        "alembic_version",
    }  # fmt: skip
    from core.db import metadata  # noqa: PLC0415

    for module in (
        "catalog.tables",
        "streams.tables",
        "rating.tables",
        "invoicing.tables",
        "ingest.tables",
        "runtime.audit.tables",
    ):
        importlib.import_module(module)
    missing = [name for name, table in metadata.tables.items() if "merchant_id" not in table.columns]

    assert set(missing) - ours == set()
