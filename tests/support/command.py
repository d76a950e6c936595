"""The `kannon` command as its user runs it: a process, its exit code and its output.

TEST_EXECUTABLE names another program (the single executable). Without it, the commands of this source tree are forked
from a process that has imported them, because starting Python costs more than most commands.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import anyio

from tests.support.forking import forker
from tests.support.patience import patience

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


def command() -> list[str]:
    executable = os.environ.get("TEST_EXECUTABLE")
    return [executable] if executable else [sys.executable, "-m", "kannon"]


class Command:
    """Runs in `folder`; the only KANNON_ variables are those of `env`."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self.env = dict(env or {})

    async def __call__(self, *arguments: str, stdin: str = "") -> Said:
        env = {name: value for name, value in os.environ.items() if not name.startswith("KANNON_")}
        env |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | self.env
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            run = partial(self._run, arguments, env, (given, out, err))
            with patience():
                code = await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
            out.seek(0)
            err.seek(0)
            return Said(code, out.read().decode(), err.read().decode())

    def _run(self, arguments: Sequence[str], env: Mapping[str, str], stdio: Sequence[IO[bytes]]) -> int:
        if "TEST_EXECUTABLE" not in os.environ:
            return forker().run(arguments, folder=self._folder, env=env, stdio=[file.fileno() for file in stdio])
        given, out, err = stdio
        argv = [*command(), *arguments]
        return subprocess.run(argv, stdin=given, stdout=out, stderr=err, cwd=self._folder, env=env).returncode
