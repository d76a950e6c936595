"""The installed wheel works away from the source tree, and contains its SQL."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.built import ROOT

SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "kannon", "sql")
PROGRAM = """
import kannon.db.queries, kannon.db.migrate
print(kannon.__file__)
print(callable(kannon.db.queries.queries.claim_due))
print(*(migration.name for migration in kannon.db.migrate.known_migrations()))
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, since a build leaves files beside them."""
    tree = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif place.exists():
            shutil.copy(place, tree / name)
    return tree


def migrations(folder: Path) -> str:
    return " ".join(sorted(file.stem for file in (folder / "sql" / "migrations").glob("*.sql")))


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def said(folder: Path, program: str) -> list[str]:
    """The program's output lines, with `folder` and this environment's libraries on its path. -S leaves out the path of
    the editable install, and with it the source tree."""
    path = os.pathsep.join((str(folder), sysconfig.get_path("purelib")))
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=folder,
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_wheel_finds_its_sql(sources: Path, tmp_path: Path) -> None:
    pip("wheel", "--no-index", "--no-build-isolation", "--no-deps", "--wheel-dir", tmp_path, sources)
    (wheel,) = tmp_path.glob("kannon-*.whl")
    place = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(place)
    assert said(place, PROGRAM) == [str(place / "kannon" / "__init__.py"), "True", migrations(ROOT)]
    assert said(place, "import kannon.components.api.services.stats, kannon.pb.admin.v1.dkim_pb2") == []
    modules = {file.relative_to(ROOT) for file in (ROOT / "kannon").rglob("*.py")}
    assert {file.relative_to(place) for file in (place / "kannon").rglob("*.py")} == modules


def test_an_editable_install_finds_its_sql(sources: Path, tmp_path: Path) -> None:
    pip("install", "--no-index", "--no-build-isolation", "--no-deps", "--target", tmp_path, "-e", sources)
    adding = f"import site; site.addsitedir({str(tmp_path)!r})"
    assert said(tmp_path, adding + PROGRAM) == [str(sources / "kannon" / "__init__.py"), "True", migrations(ROOT)]
