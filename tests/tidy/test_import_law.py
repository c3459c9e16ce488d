"""The import law is not only written down: breaking it must fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a copy of the sources."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    env = {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


def copy_of_the_sources(folder: Path) -> None:
    """The packages and the settings, without tests or the virtual environment."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ROOT.iterdir():
        if (package / "__init__.py").exists():
            shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))


def test_the_sources_keep_the_import_law(tmp_path: Path) -> None:
    """As it stands, every contract holds."""
    copy_of_the_sources(tmp_path)

    done = lint(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_against_the_law_is_caught(tmp_path: Path) -> None:
    """A core module that imports a stage makes the check fail and names both."""
    copy_of_the_sources(tmp_path)
    (tmp_path / "core" / "broken.py").write_text("import rating.engine\n")

    done = lint(tmp_path)

    assert done.returncode == 1
    assert "core.broken -> rating.engine" in done.stdout
