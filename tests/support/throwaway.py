"""Programs of others in a Python environment of their own, made for a test and kept in `build`.

In: packages with their versions, a script, its input as JSON. Out: its output as JSON. Their dependencies never mix
with Kannon's.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.patience import PATIENCE_SECONDS

_FOLDER = Path(__file__).parents[2] / "build" / "throwaway"


def throwaway_python(*packages: str) -> Path:
    """The interpreter of an environment with these packages. Installing takes some seconds, once."""
    folder = _FOLDER / "-".join(packages).replace("=", "")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / "complete").touch()
    return python


def run_script(python: Path, script: str, value: object) -> Any:
    """`script` reads `value` and prints its answer, both as JSON."""
    done = subprocess.run(
        [python, "-c", script],
        input=json.dumps(value),
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
