"""promtool, Prometheus' own checker: unpacked from Debian's package (packaging/test-packages-unpacked.txt)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / "build" / "interop" / "usr" / "bin" / "promtool"


def promtool(*arguments: str) -> str:
    """What it prints. An exit code other than 0 is an AssertionError with that text."""
    program = str(UNPACKED) if UNPACKED.exists() else shutil.which("promtool")
    if program is None and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip("promtool is not installed")
    assert program, "promtool is missing: packaging/install-test-packages unpacks it"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
