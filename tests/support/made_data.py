"""A data directory whose servers have run before, made once per run of the tests: a copy is faster than a new one.

TEST_MADE_DATA names the directory to copy; the fixtures of the end-to-end tests set it.
"""

import fcntl
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.command import command
from tests.support.patience import PATIENCE_SECONDS

_OF_OTHERS = ("KANNON_DATA_DIR", "KANNON_POSTGRES__URL", "KANNON_NATS__URL")


def make_data(folder: Path) -> Path:
    """Runs the program of command(). All processes of this run of the tests share `folder`."""
    made = folder / "made-data" / Path(command()[-1]).name
    made.parent.mkdir(exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            data_dir = made.with_suffix(".new")
            _serve_once(data_dir)
            data_dir.rename(made)
    return made


def _serve_once(data_dir: Path) -> None:
    listens = {f"KANNON_{name}__LISTEN": "127.0.0.1:0" for name in ("API", "BUMP", "SMTP", "SUBMISSION", "METRICS")}
    environ = {**os.environ, **listens, "KANNON_DATA_DIR": str(data_dir)}
    with subprocess.Popen([*command(), "serve"], env=environ, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        said = list[str]()
        for line in serving.stderr:
            said.append(line)
            if "Kannon is ready" in line:
                serving.send_signal(signal.SIGTERM)
        assert serving.wait(PATIENCE_SECONDS) == 0, "".join(said)


def copy_made_data(data_dir: Path, extra: Mapping[str, str], arguments: object) -> None:
    """Copies into a new directory, for a server that keeps all of its data there."""
    made = os.environ.get("TEST_MADE_DATA")
    if made and not data_dir.exists() and not arguments and not any(name in extra for name in _OF_OTHERS):
        subprocess.run(["cp", "--archive", made, data_dir], check=True)
