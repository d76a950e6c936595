"""The `kannon` command as its user has it: a process, its exit code, and what it says where.

TEST_EXECUTABLE names another program (the single executable) in place of this source tree.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

ROOT = Path(__file__).resolve().parent.parent.parent
_SECONDS = 60


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
    """Runs in `folder`, with no KANNON_ variable but those of `env`."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self.env = dict(env or {})

    async def __call__(self, *arguments: str, stdin: str = "") -> Said:
        env = {name: value for name, value in os.environ.items() if not name.startswith("KANNON_")}
        with anyio.fail_after(_SECONDS):
            process = await anyio.run_process(
                [*command(), *arguments],
                input=stdin.encode(),
                cwd=self._folder,
                env=env | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | self.env,
                check=False,
            )
        return Said(process.returncode, process.stdout.decode(), process.stderr.decode())
