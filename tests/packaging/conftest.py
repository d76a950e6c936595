"""The Debian package, and copies of this machine to install it on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.built import build_package
from tests.support.machine import Machine, machine


@pytest.fixture(scope="session")
def package(executable: Path) -> Path:
    return build_package()


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Machine]:
    """A copy of this machine."""
    with machine(tmp_path / "machine") as copied:
        yield copied
