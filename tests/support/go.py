"""Programs in Go: tests/interop/go, whose go.sum pins every module."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "tests" / "interop" / "go"
BUILT = ROOT / "build" / "go"


def go(*arguments: str) -> str:
    """What the go command prints."""
    program = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if program is None and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip("Go is not installed")
    assert program, "Go 1.24 or later is missing (KANNON_SKIP_INTEROP=1 tests without it)"
    done = subprocess.run([program, *arguments], cwd=MODULE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(package: str) -> Path:
    """The executable of a package. Go's own cache decides what is compiled again."""
    BUILT.mkdir(parents=True, exist_ok=True)
    go("build", "-o", f"{BUILT}/", package)
    return BUILT / package.rsplit("/", 1)[-1]
