"""Java, and the broker's class path: resolved once by Maven from ``deploy/kafka/pom.xml`` into a folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from core.errors import Refused
from runtime.embedded.part import CODE_ROOT

PROJECT = CODE_ROOT / "deploy" / "kafka"
POM = PROJECT / "pom.xml"
LIBRARIES_ROOT = CODE_ROOT / ".millrace"
JAVA_VERSION_MIN = 17
# The first time brings some fifty megabytes.
MAVEN_WITHIN_S = 900
JAVA_WITHIN_S = 30
COMPLETE = "complete"
LINES_SHOWN = 8
POM_NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}

Say = Callable[[str], None]


def say_nothing(_text: str) -> None:
    """The default listener."""


def refused(message: str) -> Refused:
    """What is missing, and what to do about it."""
    return Refused("apache_kafka_missing", f"Apache Kafka cannot be run: {message}")


def kafka_version(pom: Path = POM) -> str:
    """The version that the Maven project asks for."""
    if not pom.is_file():
        raise refused(f"{pom} is not there; the Maven project comes with the source tree, not with the wheel")
    found = ElementTree.parse(pom).findtext("m:properties/m:kafka.version", namespaces=POM_NAMESPACE)  # noqa: S314 - our own file
    if not found:
        raise refused(f"{pom} has no property kafka.version")
    return found


def find_java() -> str:
    """A Java that is new enough: that of JAVA_HOME, else the first on the path."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if java is None:
        raise refused(f"no Java was found; install {JAVA_VERSION_MIN} or newer, or set JAVA_HOME")
    done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=JAVA_WITHIN_S, check=False)
    said = re.search(r'version "(\d+)', done.stdout + done.stderr)
    if said is None or int(said[1]) < JAVA_VERSION_MIN:
        raise refused(f"{java} is Java {said[1] if said else 'of an unknown version'}, not {JAVA_VERSION_MIN} or newer")
    return java


def libraries(say: Say = say_nothing, root: Path = LIBRARIES_ROOT) -> Path:
    """The folder with the broker's jars, brought by Maven unless it is there already.

    Raises ``Refused`` (``apache_kafka_missing``) with Maven's own words when they cannot be had.
    """
    version = kafka_version()
    folder = root / f"kafka-{version}"
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    mark = folder / COMPLETE
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted:
        return folder
    say(f"bringing Apache Kafka {version} with Maven into {folder} (once)")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".kafka-") as draft:
        jars = Path(draft) / "jars"
        copy_jars(jars)
        (jars / COMPLETE).write_text(wanted, encoding="ascii")
        # Another process may have been faster; its jars are the same.
        shutil.rmtree(folder, ignore_errors=True)
        jars.replace(folder)
    return folder


def copy_jars(folder: Path) -> None:
    """Let Maven resolve the project and copy its class path."""
    maven = shutil.which("mvn")
    if maven is None:
        raise refused("its artifacts are not here yet, and no Maven (mvn) was found to bring them; install Maven")
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            [maven, "--batch-mode", "--quiet", "-Dstyle.color=never", "--file", str(POM), *goal],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MAVEN_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise refused(f"Maven did not bring its artifacts within {MAVEN_WITHIN_S} s") from error
    if done.returncode != 0 or not any(folder.glob("kafka_*.jar")):
        words = "\n".join(done.stdout.strip().splitlines()[:LINES_SHOWN])
        raise refused(f"Maven did not bring its artifacts:\n{words}")
