"""The artefacts under test, built by make unless they are up to date."""

import fcntl
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build_executable() -> Path:
    make("dist")
    return ROOT / "dist" / "kannon"


def build_package() -> Path:
    make("deb")
    (found,) = (ROOT / "dist").glob("kannon_*.deb")
    return found


def make(target: str, tree: Path = ROOT) -> None:
    """Only one process builds at a time."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KANNON_", "MAKE"))}
    (tree / "build").mkdir(exist_ok=True)
    with (tree / "build" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = subprocess.run(["make", "--silent", target], cwd=tree, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
