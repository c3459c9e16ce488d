"""A home folder keeps to one log: what the other one may still hold would never be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Refused
from runtime.settings import StackSettings, load_stack_settings
from runtime.stack import keep_to_one_log


def settings(home: Path, log: str, **more: str) -> StackSettings:
    """What `millrace up` reads from its environment."""
    return load_stack_settings({"MILLRACE_HOME": str(home), "MILLRACE_LOG": log, **more})


@pytest.mark.parametrize(("log", "left"), [("apache", "journal/1.segment"), ("embedded", "kafka/data/meta.properties")])
def test_the_other_log_is_refused_where_one_has_left_something(tmp_path: Path, log: str, left: str) -> None:
    """Acknowledged events may lie there; an empty home takes either."""
    keep_to_one_log(settings(tmp_path, log))
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).touch()

    with pytest.raises(Refused, match="log_changed"):
        keep_to_one_log(settings(tmp_path, log))


@pytest.mark.parametrize(("log", "left"), [("embedded", "journal/1.segment"), ("apache", "kafka/data/meta.properties")])
def test_the_same_log_goes_on(tmp_path: Path, log: str, left: str) -> None:
    """What it left is its own."""
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).touch()

    keep_to_one_log(settings(tmp_path, log))

    assert settings(tmp_path, log).log == log


def test_a_log_of_another_name_is_refused(tmp_path: Path) -> None:
    """A slip of the pen must not start another log than was meant."""
    with pytest.raises(Refused, match="embedded, apache"):
        settings(tmp_path, "apahce")
