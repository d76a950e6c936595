"""The artefacts under test, built by make as anybody builds them; nothing to do where they are up to date."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import Machine, machine

ROOT = Path(__file__).parents[2]


def make(target: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KANNON_", "MAKE"))}
    built = subprocess.run(["make", "--silent", target], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr


@pytest.fixture(scope="session")
def executable() -> Path:
    make("dist")
    return ROOT / "dist" / "kannon"


@pytest.fixture(scope="session")
def package(executable: Path) -> Path:
    make("deb")
    (found,) = (ROOT / "dist").glob("kannon_*.deb")
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Machine]:
    """A copy of this machine, to install things on."""
    with machine(tmp_path / "machine") as copied:
        yield copied
